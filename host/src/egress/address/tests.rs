//! The whole table, row by row: for each block its first and last address and, where that is another's, its neighbours.

use super::*;

/// `P` public, `L` private (the setting opens it), `S` special (nothing opens it to a name).
const ROWS: &str = "
    0.0.0.0 S   0.0.0.1 S   0.255.255.255 S   1.0.0.0 P
    9.255.255.255 P   10.0.0.0 L   10.255.255.255 L   11.0.0.0 P
    100.63.255.255 P   100.64.0.0 L   100.100.100.199 L   100.100.100.200 S   100.100.100.201 L   100.127.255.255 L
    100.128.0.0 P
    126.255.255.255 P   127.0.0.0 L   127.0.0.1 L   127.1.2.3 L   127.255.255.255 L   128.0.0.0 P
    168.63.129.15 P   168.63.129.16 S   168.63.129.17 P
    169.253.255.255 P   169.254.0.0 S   169.254.169.254 S   169.254.170.2 S   169.254.255.255 S   169.255.0.0 P
    172.15.255.255 P   172.16.0.0 L   172.31.255.255 L   172.32.0.0 P
    191.255.255.255 P   192.0.0.0 S   192.0.0.9 S   192.0.0.192 S   192.0.0.255 S   192.0.1.0 P
    192.0.1.255 P   192.0.2.0 S   192.0.2.255 S   192.0.3.0 P
    192.31.196.1 P   192.52.193.1 P   192.175.48.1 P
    192.88.98.255 P   192.88.99.0 S   192.88.99.255 S   192.88.100.0 P
    192.167.255.255 P   192.168.0.0 L   192.168.255.255 L   192.169.0.0 P
    198.17.255.255 P   198.18.0.0 L   198.19.255.255 L   198.20.0.0 P
    198.51.99.255 P   198.51.100.0 S   198.51.100.255 S   198.51.101.0 P
    203.0.112.255 P   203.0.113.0 S   203.0.113.255 S   203.0.114.0 P
    8.8.8.8 P   93.184.215.14 P   223.255.255.255 P
    224.0.0.0 S   239.255.255.255 S   240.0.0.0 S   255.255.255.254 S   255.255.255.255 S

    :: S   ::1 L   ::2 S   ::127.0.0.1 S   ::10.0.0.1 S   ::8.8.8.8 S   ::ffff:ffff S
    ::ffff:0.0.0.0 S   ::ffff:127.0.0.1 L   ::ffff:10.0.0.1 L   ::ffff:192.168.1.1 L   ::ffff:169.254.169.254 S
    ::ffff:100.64.0.1 L   ::ffff:224.0.0.1 S   ::ffff:8.8.8.8 P   ::ffff:168.63.129.16 S
    ::fffe:8.8.8.8 S   ::1:0:0:0 S   ::ffff:0:8.8.8.8 S
    64:ff9b::8.8.8.8 P   64:ff9b::10.0.0.1 L   64:ff9b::127.0.0.1 L   64:ff9b::169.254.169.254 S   64:ff9b::0.0.0.0 S
    64:ff9b:1::8.8.8.8 S   64:ff9b:1:ffff::1 S   64:ff9b:0:1::1 S   64:ff9a::1 S   64:ff9c::1 S
    100:: S   100::ffff S   100:0:0:1::1 S   200::1 S   1fff:ffff::1 S
    2000::1 P   2001::1 S   2001:0:4136:e378:8000:63bf:3fff:fdd2 S   2001:1::1 S   2001:2::1 S   2001:3::1 S
    2001:4:112::1 S   2001:10::1 S   2001:20::1 S   2001:30::1 S   2001:1ff:ffff::1 S   2001:200::1 P
    2001:db7:ffff::1 P   2001:db8:: S   2001:db8:ffff:ffff:ffff:ffff:ffff:ffff S   2001:db9::1 P
    2001:4860:4860::8888 P   2001:ffff::1 P
    2002:: S   2002:7f00:1::1 S   2002:808:808::1 S   2002:a9fe:a9fe::1 S   2002:ffff::1 S   2003::1 P
    2606:4700:4700::1111 P   2620:4f:8000::1 P   2a00:1450:4001:80b::200e P
    3ffe::1 P   3fff:: S   3fff:fff:ffff::1 S   3fff:1000::1 P   4000::1 S   5eff::1 S   5f00::1 S   5fff::1 S
    8000::1 S   fbff::1 S
    fc00::1 L   fcff::1 L   fd00::1 L   fd00:ec2::253 L   fd00:ec2::254 S   fd00:ec2::255 L   fd20:ce::254 S
    fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff L   fe00::1 S
    fe80::1 S   fe80::a9fe:a9fe S   febf:ffff::1 S   fec0::1 S   feff:ffff::1 S
    ff00::1 S   ff02::1 S   ff0e::1 S   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff S
";

#[test]
fn every_row_of_the_table_holds() {
    let words: Vec<&str> = ROWS.split_whitespace().collect();
    let wrong: Vec<String> = words
        .chunks_exact(2)
        .filter(|row| letter(row[0].parse().unwrap()) != row[1])
        .map(|row| format!("{} is not {}", row[0], row[1]))
        .collect();

    assert_eq!(wrong, Vec::<String>::new());
    assert!(words.len() / 2 >= 150, "{}", words.len() / 2);
}

fn letter(address: IpAddr) -> &'static str {
    match reach(address) {
        Reach::Public => "P",
        Reach::Private(_) => "L",
        Reach::Special(_) => "S",
    }
}

#[test]
fn no_block_of_the_table_is_hidden_by_an_earlier_one() {
    let hidden_v4 = V4
        .iter()
        .filter(|block| reach_v4(block.0) != block.2)
        .count();
    let hidden_v6: Vec<_> = V6
        .iter()
        .filter(|block| reach_v6(block.0) != block.2)
        .map(|block| block.0)
        .collect();

    // 0.0.0.0/8 and the other blocks begin with an address of their own. In V6 three begin inside a narrower block
    // that stands before them, or with NAT64's prefix.
    assert_eq!(hidden_v4, 0);
    assert_eq!(hidden_v6, [v6(0x64, 0xff9b), v6(0x2001, 0)]);
}
