//! Small files that are wrong in one way, or odd but legal.

use keystow_rdb::Checksum;

use super::{check, fault_code, fixture};

#[test]
fn each_wrong_file_is_refused_for_its_own_reason() {
    let expected = [
        ("trunc-zero-bytes", "RDB_TRUNCATED"),
        ("trunc-magic-only", "RDB_TRUNCATED"),
        ("trunc-mid-aux", "RDB_TRUNCATED"),
        ("trunc-half", "RDB_TRUNCATED"),
        ("trunc-no-crc", "RDB_TRUNCATED"),
        ("trunc-crc-7-of-8", "RDB_TRUNCATED"),
        ("flip-in-crc", "RDB_CHECKSUM"),
        ("ver-0000", "RDB_VERSION"),
        ("ver-9999", "RDB_VERSION"),
        ("magic-VALKEY011", "RDB_VERSION"),
        ("magic-lowercase", "RDB_MAGIC"),
        ("len-string-2pow63", "RDB_TRUNCATED"),
        ("len-string-4g", "RDB_TRUNCATED"),
        ("len-reserved-82", "RDB_LENGTH"),
        ("enc-string-special-4", "RDB_STRING"),
        ("enc-encoded-where-length", "RDB_LENGTH"),
        ("lzf-backref-before-start", "RDB_LZF"),
        ("lzf-short-output", "RDB_LZF"),
        ("lp-hash-odd", "RDB_ODD"),
        ("lp-total-bytes-wrong", "RDB_LISTPACK"),
        ("lp-backlen-wrong", "RDB_LISTPACK"),
        ("lp-no-terminator", "RDB_LISTPACK"),
        ("key-dup", "RDB_DUPLICATE"),
        ("set-dup-member", "RDB_DUPLICATE"),
        ("zset1-bad-score", "RDB_SCORE"),
        ("intset-bad-encoding", "RDB_INTSET"),
        ("type-unknown-200", "RDB_TYPE"),
        ("op-243-in-redis10", "RDB_OPCODE"),
        ("db-number-huge", "RDB_DATABASE"),
        ("mod-bad-opcode", "RDB_MODULE"),
        ("ql2-bad-container", "RDB_QUICKLIST"),
    ];
    for (name, code) in expected {
        assert_eq!(fault_code(&fixture(&format!("{name}.rdb"))), code, "{name}");
    }
}

#[test]
fn each_odd_file_is_accepted_with_the_keys_that_a_server_sees() {
    let expected = [
        ("hash-empty", 0),
        ("exp-only-then-eof", 0),
        ("aux-mid-stream", 2),
        ("resizedb-lies", 1),
        ("no-selectdb", 1),
        ("flip-undetectable-nochecksum", 40),
        ("trail-second-rdb", 40),
    ];
    for (name, keys) in expected {
        let report = check(&fixture(&format!("{name}.rdb"))).unwrap();
        assert_eq!(report.keys, keys, "{name}");
    }
}

#[test]
fn what_follows_the_checksum_is_counted() {
    let report = check(&fixture("trail-second-rdb.rdb")).unwrap();
    assert_eq!(report.bytes, 19_985);
    assert_eq!(report.trailing_bytes, 19_985);
    assert!(!report.trailing_end_mark);

    let mut marked = fixture("srv-redis-7.0.15-all.rdb");
    marked.extend_from_slice(&[b'a'; 40]);
    let report = check(&marked).unwrap();
    assert_eq!((report.trailing_bytes, report.trailing_end_mark), (40, true));
    marked.push(b'a');
    let report = check(&marked).unwrap();
    assert_eq!((report.trailing_bytes, report.trailing_end_mark), (41, false));
}

#[test]
fn wrong_checksum_is_a_fault_with_the_whole_report() {
    let failure = check(&fixture("flip-in-crc.rdb")).unwrap_err();
    assert!(!failure.fault.reason.is_unvouched());
    assert_eq!(failure.report_so_far.keys, 40);
    assert_eq!(
        failure.report_so_far.checksum,
        Checksum::Bad { stored: 0x843b_603c_0800_21c3, computed: 0x043b_603c_0800_21c3 }
    );
}

#[test]
fn fault_reads_as_one_line_with_place_and_key() {
    let failure = check(&fixture("lp-backlen-wrong.rdb")).unwrap_err();
    assert_eq!(failure.to_string(), "listpack, 8 bytes in: a wrong back length at byte 14, in key \"k\"");
    let failure = check(&fixture("ver-9999.rdb")).unwrap_err();
    assert_eq!(failure.report_so_far.magic, "REDIS9999");
    assert_eq!(failure.to_string(), "RDB version 9999 of Redis is not supported at byte 9");
}
