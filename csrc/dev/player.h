/* dev/player.h: plays a capture (pcap or pcapng, Ethernet, either byte order) from memory as received frames.
 *
 * As fast as possible, or by capture time: then the first frame comes with the first rx_burst after a tick() and
 * every later one when as much time has passed as in the capture. xdp_ns is the time of the last tick(); the
 * capture's own times are not shown as the time of arrival. What is sent is counted and discarded; the last ones can
 * be kept for a test to look at. Frames that the capture cut short are not played (rx_bad). The buffer must outlive
 * the device. */
#ifndef XW_DEV_PLAYER_H
#define XW_DEV_PLAYER_H
#include "dev/dev.h"
#include "xw.h" /* xw_player_device, xw_player_allow, xw_player_left */

struct xw_player_cfg {
    const uint8_t *data; /* the file */
    size_t len;
    uint32_t mtu;        /* reported; 0: 1500 */
    uint32_t keep_tx;    /* how many of the frames sent last are kept; 0: none */
    bool by_time;        /* false: as fast as possible */
};
/* xw_player_open: 0, XW_EINVAL (not such a capture, or damaged: xw_setup_error says where) or XW_ENOMEM. */
int xw_player_open(const struct xw_player_cfg *cfg, struct xw_dev **out);
/* xw_player_sent: the n-th of the kept frames, 0 the oldest; an empty span past the last. */
struct xw_span xw_player_sent(const struct xw_dev *d, uint32_t n);
#endif
