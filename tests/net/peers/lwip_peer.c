/* lwip_peer.c: lwIP as the peer of bulk transfers, with a MAC and an address of its own on a packet socket.
 *
 *     lwip_peer IFACE ADDRESS NETMASK serve PORT             as bulk.py: "GET n", or "PUT" answered by count and hash
 *     lwip_peer IFACE ADDRESS NETMASK get|put HOST PORT N    the client's side: prints count, seconds and hash
 *
 * Octets repeat with a period of 251. lwIP's threads do the TCP; the main thread is the application. */
#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <lwip/tcpip.h>
#include <lwip/sockets.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The kernel's sockets, whose headers and lwIP's cannot both be included. */
int kernel_packet_socket(const char *iface);
long kernel_send(int fd, const void *p, unsigned long n);
long kernel_recv(int fd, void *p, unsigned long n);

static struct netif card;
static int wire;
static unsigned char block[251 * 256];

static err_t to_wire(struct netif *n, struct pbuf *p) {
    unsigned char frame[2048];
    (void)n;
    if (p->tot_len > sizeof frame)
        return ERR_BUF;
    pbuf_copy_partial(p, frame, p->tot_len, 0);
    kernel_send(wire, frame, p->tot_len);
    return ERR_OK;
}

static void *from_wire(void *arg) {
    unsigned char frame[2048];
    long n;
    (void)arg;
    while ((n = kernel_recv(wire, frame, sizeof frame)) > 0) {
        int ours = !memcmp(frame, card.hwaddr, 6), group = frame[0] & 1;
        struct pbuf *p = ours || group ? pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM) : NULL;
        if (!p)
            continue;
        pbuf_take(p, frame, (u16_t)n);
        if (card.input(p, &card) != ERR_OK)
            pbuf_free(p);
    }
    return NULL;
}

static err_t card_init(struct netif *n) {
    static const unsigned char mac[6] = { 0x02, 0x6c, 0x77, 0x49, 0x50, 0x01 };
    memcpy(n->hwaddr, mac, 6);
    n->hwaddr_len = 6;
    n->mtu = 1500;
    n->name[0] = 'x', n->name[1] = 'w';
    n->output = etharp_output;
    n->linkoutput = to_wire;
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void ready(void *arg) { *(volatile int *)arg = 1; }

static void send_all(int s, unsigned long long n) {
    unsigned long long at = 0;
    while (at < n) {
        size_t off = (size_t)(at % 251), len = sizeof block - off;
        if (len > n - at)
            len = (size_t)(n - at);
        ssize_t put = lwip_send(s, block + off, len, 0);
        if (put <= 0)
            return;
        at += (unsigned long long)put;
    }
}

static unsigned long long take_all(int s, char hex[65]) {
    static unsigned char buf[65536];
    unsigned char md[32];
    unsigned long long count = 0;
    SHA256_CTX h;
    ssize_t n;
    SHA256_Init(&h);
    while ((n = lwip_recv(s, buf, sizeof buf, 0)) > 0) {
        SHA256_Update(&h, buf, (size_t)n);
        count += (unsigned long long)n;
    }
    SHA256_Final(md, &h);
    for (int i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", md[i]);
    return count;
}

static int line(int s, char *out, int max) {
    int n = 0;
    while (n < max - 1 && lwip_recv(s, out + n, 1, 0) == 1 && out[n] != '\n')
        n++;
    out[n] = 0;
    return n;
}

static void serve_one(int s) {
    char word[64], hex[65], said[128], rest[4096];
    line(s, word, sizeof word);
    if (!strncmp(word, "GET ", 4)) {
        send_all(s, strtoull(word + 4, NULL, 10));
    } else {
        unsigned long long n = take_all(s, hex);
        lwip_send(s, said, (size_t)sprintf(said, "%llu %s\n", n, hex), 0);
    }
    lwip_shutdown(s, SHUT_WR);
    while (lwip_recv(s, rest, sizeof rest, 0) > 0) {
    }
    lwip_close(s);
}

static void serve(struct sockaddr_in *at) {
    int l = lwip_socket(AF_INET, SOCK_STREAM, 0);
    at->sin_addr.s_addr = 0;
    lwip_bind(l, (struct sockaddr *)at, sizeof *at);
    lwip_listen(l, 1);
    puts("ready");
    fflush(stdout);
    for (int s; (s = lwip_accept(l, NULL, NULL)) >= 0;)
        serve_one(s);
}

static int client(struct sockaddr_in *at, int get, unsigned long long n) {
    struct timespec a, b;
    char word[160], hex[65];
    int s = lwip_socket(AF_INET, SOCK_STREAM, 0);
    if (lwip_connect(s, (struct sockaddr *)at, sizeof *at)) {
        fprintf(stderr, "lwip_peer: no connection\n");
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    lwip_send(s, word, (size_t)(get ? sprintf(word, "GET %llu\n", n) : sprintf(word, "PUT\n")), 0);
    if (get) {
        n = take_all(s, hex);
    } else {
        send_all(s, n);
        lwip_shutdown(s, SHUT_WR);
        line(s, word, sizeof word);
        sscanf(word, "%llu %64s", &n, hex);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%llu %.6f %s\n", n, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9, hex);
    lwip_close(s);
    return 0;
}

int main(int argc, char **argv) {
    ip4_addr_t ip, mask, none = { 0 };
    pthread_t reader;
    volatile int up = 0;
    if (argc < 6) {
        fprintf(stderr, "usage: lwip_peer IFACE ADDRESS NETMASK serve PORT | get|put HOST PORT N\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)(i % 251);
    wire = kernel_packet_socket(argv[1]);
    if (wire < 0) {
        perror("lwip_peer: packet socket");
        return 1;
    }
    ip.addr = inet_addr(argv[2]);
    mask.addr = inet_addr(argv[3]);
    tcpip_init(ready, (void *)&up);
    while (!up)
        usleep(1000);
    LOCK_TCPIP_CORE();
    netif_add(&card, &ip, &mask, &none, NULL, card_init, tcpip_input);
    netif_set_default(&card);
    netif_set_up(&card);
    UNLOCK_TCPIP_CORE();
    pthread_create(&reader, NULL, from_wire, NULL);
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    if (!strcmp(argv[4], "serve")) {
        at.sin_port = htons((u16_t)atoi(argv[5]));
        serve(&at);
        return 0;
    }
    at.sin_addr.s_addr = inet_addr(argv[5]);
    at.sin_port = htons((u16_t)atoi(argv[6]));
    return client(&at, !strcmp(argv[4], "get"), strtoull(argv[7], NULL, 10));
}
