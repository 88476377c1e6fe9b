"""What the kernel and the drivers require, in one place."""
from __future__ import annotations

#: Below it attaching is refused: BPF links for XDP came with 5.9, and 5.15 is the oldest long-term kernel with them.
KERNEL_MIN = (5, 15)
#: From here on the kernel tells XDP features over netlink (6.3) and serves NIC receive time (6.3).
KERNEL_FEATURES = (6, 3)
#: Of bpf/shared.h (XW_STEER_MAX_QUEUES): entries of the XSKMAP, one for each receive queue.
MAX_QUEUES = 64

#: Largest MTU with which a driver takes a program that does not know fragments. A page of 4096 bytes holds 256 of
#: headroom, the frame and 320 of skb_shared_info: 3520 for the frame, 3506 without the Ethernet header.
MTU_ONE_PAGE = 3506
#: Where a driver keeps more for itself. ena, mlx5: 8 bytes of VLAN tags or so; i40e and ice: buffers of 3072, minus
#: header, two tags and FCS; bnxt: one tag.
MTU_OF_DRIVER = {"ena": 3498, "mlx5_core": 3498, "i40e": 3046, "ice": 3046, "bnxt_en": 3502}

#: Drivers with native XDP, zero-copy and the receive-timestamp kfunc, for kernels that do not tell (before 6.3).
NATIVE_DRIVERS = frozenset({
    "veth", "virtio_net", "mlx5_core", "mlx4_en", "ice", "igc", "igb", "i40e", "ixgbe", "ixgbevf", "bnxt_en", "ena",
    "gve", "stmmac", "st_gmac", "qede", "sfc", "nfp", "tun", "hv_netvsc", "mana", "netsec", "fsl_dpaa2_eth", "mvneta",
    "mvpp2", "thunder-nicvf", "tsnep", "vmxnet3", "xen_netfront",
})


def mtu_limit(driver: str) -> int:
    """The largest MTU with which `driver` runs our program natively, and which one frame of ours holds."""
    return MTU_OF_DRIVER.get(driver, MTU_ONE_PAGE)


def kernel_version(release: str) -> tuple[int, int]:
    """(major, minor) of `uname -r`; (0, 0) if it cannot be read."""
    parts = release.split("-")[0].split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()))
    except (IndexError, ValueError):
        return 0, 0
