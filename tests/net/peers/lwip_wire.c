/* lwip_wire.c: the kernel's packet socket for lwip_peer.c; apart, because the kernel's headers and lwIP's do not mix. */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>

int kernel_packet_socket(const char *iface);
long kernel_send(int fd, const void *p, unsigned long n);
long kernel_recv(int fd, void *p, unsigned long n);

int kernel_packet_socket(const char *iface) {
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), idx = (int)if_nametoindex(iface), big = 1 << 24;
    struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = idx };
    struct packet_mreq all = { .mr_ifindex = idx, .mr_type = PACKET_MR_PROMISC };
    if (fd < 0 || !idx || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all))
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
    return fd;
}
long kernel_send(int fd, const void *p, unsigned long n) { return send(fd, p, n, 0); }
long kernel_recv(int fd, void *p, unsigned long n) {
    struct sockaddr_ll from;
    socklen_t len = sizeof from;
    long got;
    do
        got = recvfrom(fd, p, n, 0, (struct sockaddr *)&from, &len);
    while (got > 0 && from.sll_pkttype == PACKET_OUTGOING); /* our own, seen again */
    return got;
}
