/* steer/steer.h: loads the steering program and attaches XDP programs; everything that needs libbpf is here. The functions are
 * those of xw_api.h under "steering program". Set-up only, never on the packet path; needs CAP_NET_ADMIN and CAP_BPF (root).
 *
 * Nothing is pinned: program, maps and link are descriptors, so they are gone with the process, however it goes. libbpf's
 * messages are kept per thread instead of being printed; the print function of libbpf is one for the process and is ours after the
 * first call. Failures are told by xw_setup_error. */
#ifndef XW_STEER_STEER_H
#define XW_STEER_STEER_H
#include <stdint.h>
#include "xw_api.h"

#endif
