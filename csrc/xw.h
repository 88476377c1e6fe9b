/* xw.h: the public C header of xdpws: xw_api.h with what it needs around it. */
#ifndef XW_H
#define XW_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#include "xw_api.h"
#ifdef __cplusplus
}
#endif
#endif
