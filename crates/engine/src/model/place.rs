//! Where instances are: the part of the map that a list looks at.

/// A part of the map. The empty one is everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// In one of these regions, or in none; empty = any.
    pub regions: Vec<String>,
    /// Never in one of these regions: an isolated region is seen from within only.
    pub beyond: Vec<String>,
    /// In this zone, or in none.
    pub zone: Option<String>,
    /// With replicas in this zone.
    pub replica_zone: Option<String>,
    /// Spanning two zones.
    pub spans_zones: bool,
}

impl Place {
    /// Whether something with this region and these zones is there.
    pub fn holds(&self, region: Option<&str>, zone: Option<&str>, replica_zone: Option<&str>) -> bool {
        let is_one_of = |list: &[String], value: &str| list.iter().any(|one| one == value);
        region.is_none_or(|region| {
            (self.regions.is_empty() || is_one_of(&self.regions, region)) && !is_one_of(&self.beyond, region)
        }) && self.zone.as_deref().is_none_or(|asked| zone.is_none_or(|own| own == asked))
            && self.replica_zone.as_deref().is_none_or(|asked| replica_zone == Some(asked))
            && (!self.spans_zones || replica_zone.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_region_is_everywhere_and_an_isolated_region_is_not() {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let south = Place { regions: list(&["south", "cn-south"]), ..Place::default() };
        assert!(south.holds(None, None, None) && south.holds(Some("cn-south"), None, None));
        assert!(!south.holds(Some("north"), None, None));
        let outside = Place { beyond: list(&["bank"]), ..Place::default() };
        assert!(outside.holds(Some("north"), None, None) && outside.holds(None, None, None));
        assert!(!outside.holds(Some("bank"), None, None));
    }

    #[test]
    fn zones_narrow() {
        let zone = Place { zone: Some("a".to_owned()), ..Place::default() };
        assert!(zone.holds(None, Some("a"), None) && zone.holds(None, None, None));
        assert!(!zone.holds(None, Some("b"), None));
        let spanning = Place { spans_zones: true, ..Place::default() };
        assert!(spanning.holds(None, Some("a"), Some("b")) && !spanning.holds(None, Some("a"), None));
        let replicas = Place { replica_zone: Some("b".to_owned()), ..Place::default() };
        assert!(replicas.holds(None, Some("a"), Some("b")) && !replicas.holds(None, Some("a"), None));
    }
}
