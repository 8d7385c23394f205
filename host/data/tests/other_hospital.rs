//! Real radiographs of another hospital, if they are there.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

use data::Label;
use shared::contract::InputContract;

#[test]
fn ages_and_views_are_those_of_the_table_above() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = env::var_os("PUMUA_TEST_DATA").map_or(default, Into::into).join("other_hospital/adults");
    if !folder.is_dir() {
        let missing = folder.display();
        let _ =
            writeln!(io::stderr(), "skipped: no real radiographs in {missing} (PUMUA_TEST_DATA names another folder)");
        return;
    }
    let (data, _) = data::load(&folder, &InputContract::stretched(32)).unwrap();
    assert_eq!((data.count(Label::Normal), data.count(Label::Pneumonia), data.skipped.len()), (207, 249, 0));
    for sample in &data.samples {
        assert!(sample.listed && sample.age.is_some_and(|age| age >= 18.0) && sample.view.is_some(), "{sample:?}");
        assert!(sample.name.contains(&sample.patient), "{sample:?}");
    }
}
