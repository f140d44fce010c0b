//! Which addresses lie on the public Internet, which in private networks, and which nobody means by a name.
//!
//! The blocks are those of IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 as updated, read in
//! 2026), IANA's multicast and unicast assignments, and the metadata addresses that cloud providers document. A few
//! blocks that IANA calls globally reachable inside reserved ones (`192.0.0.9`, say) are refused with the block around
//! them: no data source lives there. Whether an address may be dialed is `policy`'s to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the public Internet.
    Public,
    /// Into a private network, or back to this machine: a name may lead there where `ALLOW_PRIVATE_NETWORKS` says so.
    Private(&'static str),
    /// To a place that no setting opens to a name: metadata, link local, multicast, reserved.
    Special(&'static str),
}

/// Where `address` leads. An IPv4 address inside an IPv6 one (mapped, NAT64) is judged by itself.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let bits = address.to_bits();
    let block = V4.iter().find(|block| {
        let shift = 32 - block.1;
        (bits >> shift) == (block.0.to_bits() >> shift)
    });
    block.map_or(Reach::Public, |block| block.2)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let bits = address.to_bits();
    let within = |base: Ipv6Addr, prefix: u32| {
        (bits >> (128 - prefix)) == (base.to_bits() >> (128 - prefix))
    };
    if within(MAPPED, 96) || within(NAT64, 96) {
        let embedded = u32::try_from(bits & u128::from(u32::MAX)).expect("masked to 32 bits");
        return reach_v4(Ipv4Addr::from_bits(embedded));
    }
    let block = V6.iter().find(|block| within(block.0, block.1));
    match block {
        Some(block) => block.2,
        // Only 2000::/3 is assigned for global unicast; the rest is IANA's, and nobody's source.
        None if within(v6(0x2000, 0), 3) => Reach::Public,
        None => Reach::Special("unassigned"),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)
}

/// `::ffff:0:0/96`, RFC 4291.
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
/// `64:ff9b::/96`, RFC 6052: how a network without IPv4 reaches public IPv4 hosts.
const NAT64: Ipv6Addr = v6(0x64, 0xff9b);

const METADATA: Reach = Reach::Special("cloud metadata");

/// Single addresses come before the blocks they are in: the first match counts.
const V4: [(Ipv4Addr, u32, Reach); 20] = [
    (v4(100, 100, 100, 200), 32, METADATA), // Alibaba Cloud
    (v4(168, 63, 129, 16), 32, METADATA),   // Azure's WireServer, in a public block
    (v4(169, 254, 169, 254), 32, METADATA), // nearly everybody
    (v4(192, 0, 0, 192), 32, METADATA),     // Oracle Cloud
    (v4(0, 0, 0, 0), 8, Reach::Special("this network")),
    (v4(10, 0, 0, 0), 8, Reach::Private("a private network")),
    (
        v4(100, 64, 0, 0),
        10,
        Reach::Private("shared address space"),
    ),
    (v4(127, 0, 0, 0), 8, Reach::Private("this machine")),
    (v4(169, 254, 0, 0), 16, Reach::Special("link local")),
    (v4(172, 16, 0, 0), 12, Reach::Private("a private network")),
    (v4(192, 0, 0, 0), 24, Reach::Special("protocol assignments")),
    (v4(192, 0, 2, 0), 24, Reach::Special("documentation")),
    (v4(192, 88, 99, 0), 24, Reach::Special("6to4 relay")),
    (v4(192, 168, 0, 0), 16, Reach::Private("a private network")),
    (v4(198, 18, 0, 0), 15, Reach::Private("benchmarking")),
    (v4(198, 51, 100, 0), 24, Reach::Special("documentation")),
    (v4(203, 0, 113, 0), 24, Reach::Special("documentation")),
    (v4(224, 0, 0, 0), 4, Reach::Special("multicast")),
    (v4(255, 255, 255, 255), 32, Reach::Special("broadcast")),
    (v4(240, 0, 0, 0), 4, Reach::Special("reserved")),
];

/// As [`V4`].
const V6: [(Ipv6Addr, u32, Reach); 16] = [
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        METADATA,
    ), // AWS
    (
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        128,
        METADATA,
    ), // Google Cloud
    (Ipv6Addr::LOCALHOST, 128, Reach::Private("this machine")),
    (
        v6(0, 0),
        96,
        Reach::Special("unspecified or IPv4-compatible"),
    ),
    (v6(0x64, 0xff9b), 32, Reach::Special("local NAT64")), // 64:ff9b:1::/48: where the IPv4 address stands is local
    (v6(0x100, 0), 16, Reach::Special("discard-only")),
    (v6(0x2001, 0), 32, Reach::Special("Teredo")),
    (v6(0x2001, 0xdb8), 32, Reach::Special("documentation")),
    (v6(0x2001, 0), 23, Reach::Special("protocol assignments")),
    (v6(0x2002, 0), 16, Reach::Special("6to4")),
    (v6(0x3fff, 0), 20, Reach::Special("documentation")),
    (v6(0x5f00, 0), 16, Reach::Special("segment routing")),
    (v6(0xfc00, 0), 7, Reach::Private("a private network")),
    (v6(0xfe80, 0), 10, Reach::Special("link local")),
    (v6(0xfec0, 0), 10, Reach::Special("site local")),
    (v6(0xff00, 0), 8, Reach::Special("multicast")),
];

#[cfg(test)]
mod tests;
