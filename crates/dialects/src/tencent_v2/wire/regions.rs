//! This API's old words for regions, and the vendor's newer ones, which are the ones used inside.

/// Short code, number in answers (0 where the vendor's page has none) and newer name.
const REGIONS: [(&str, i64, &str); 17] = [
    ("gz", 1, "ap-guangzhou"),
    ("sh", 4, "ap-shanghai"),
    ("hk", 5, "ap-hongkong"),
    ("ca", 6, "na-toronto"),
    ("shjr", 7, "ap-shanghai-fsi"),
    ("bj", 8, "ap-beijing"),
    ("sg", 9, "ap-singapore"),
    ("szjr", 11, "ap-shenzhen-fsi"),
    ("usw", 15, "na-siliconvalley"),
    ("cd", 0, "ap-chengdu"),
    ("cq", 0, "ap-chongqing"),
    ("th", 0, "ap-bangkok"),
    ("kr", 0, "ap-seoul"),
    ("jp", 0, "ap-tokyo"),
    ("de", 0, "eu-frankfurt"),
    ("in", 0, "ap-mumbai"),
    ("use", 0, "na-ashburn"),
];

/// The newer name of a region; one that is not an old code is passed through.
pub(super) fn newer_name(region: &str) -> String {
    REGIONS.iter().find(|(code, ..)| *code == region).map_or(region, |(.., name)| name).to_owned()
}

/// The number of a region in answers; 0 where it has none.
pub(super) fn number(region: &str) -> i64 {
    REGIONS.iter().find(|(.., name)| *name == region).map_or(0, |(_, number, _)| *number)
}

/// The newer name of a region's number; empty when it has none.
pub(super) fn of_number(number: i64) -> String {
    let found = REGIONS.iter().find(|(_, other, _)| *other == number && number != 0);
    found.map_or("", |(.., name)| name).to_owned()
}
