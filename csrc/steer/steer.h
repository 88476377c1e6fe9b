/* steer/steer.h: loads the steering program and attaches XDP programs; everything that needs libbpf is here. The functions are
 * those of xw_api.h under "steering program". Set-up only, never on the packet path; needs CAP_NET_ADMIN and CAP_BPF (root).
 *
 * Nothing is pinned: program, maps and link are descriptors, so they are gone with the process, however it goes. libbpf's
 * messages are kept per thread instead of being printed; libbpf has one print function a process, and it is ours after the
 * first call here. Failures are told by xw_setup_error.
 *
 * steer.c loads, reads and writes maps and runs programs on test packets; attach.c deals with interfaces. */
#ifndef XW_STEER_STEER_H
#define XW_STEER_STEER_H
#include "xw.h"
#include <stdbool.h>

/* xw_steer_quiet: takes over libbpf's print function; with fresh set the thread's log is emptied. */
void xw_steer_quiet(int fresh);
/* xw_steer_moved: whether a program of insns_given instructions may have needed another page when it was loaded and had become
 * insns_loaded long; in doubt it has. */
bool xw_steer_moved(uint32_t insns_given, uint32_t insns_loaded);
#endif
