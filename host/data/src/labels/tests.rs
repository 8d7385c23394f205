use proptest::prelude::*;

use super::*;
use crate::metadata;

fn read(table: &str) -> Result<Labels, (u64, LabelsFault)> {
    Labels::read(table.as_bytes(), "")
}

fn row(labels: &Labels, path: &str) -> Row {
    labels.rows[path].clone().unwrap()
}

#[test]
fn columns_come_in_any_order_and_others_are_not_looked_at() {
    let table = "\u{feff}sex,Patient,LABEL,findings,view,path,age\r\n\
                 F,0041,normal,\"a, b\",pa,a.png,4.5\r\n\
                 ,,Pneumonia,,, .\\b//c.png ,\r\n";
    let labels = read(table).unwrap();
    let facts = Facts { patient: Some("0041".to_owned()), age: Some(4.5), view: Some(View::Pa) };
    assert_eq!(row(&labels, "a.png"), Row { label: Label::Normal, facts, lateral: false });
    let unknown = Row { label: Label::Pneumonia, facts: Facts::default(), lateral: false };
    assert_eq!(row(&labels, "b/c.png"), unknown);
    let short = read("path,label\na.png,NORMAL\n").unwrap();
    assert_eq!(row(&short, "a.png"), Row { label: Label::Normal, ..unknown });
}

#[test]
fn rows_are_of_one_folder() {
    let table = "path,label\nadults/NORMAL/a.png,NORMAL\nchildren/NORMAL/b.png,NORMAL\n";
    let labels = Labels::read(table.as_bytes(), "adults/").unwrap();
    assert_eq!(labels.rows.keys().collect::<Vec<_>>(), ["NORMAL/a.png"]);
    assert_eq!(labels.in_vain().count(), 1, "the other folder's are another's business");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let long = "x".repeat(MAX_TEXT + 1);
    for (table, line, fault) in [
        (String::new(), 1, LabelsFault::Column("path")),
        ("path;label\na.png;NORMAL\n".to_owned(), 1, LabelsFault::Column("path")),
        ("path,age\n".to_owned(), 1, LabelsFault::Column("label")),
        ("path,label,Path\n".to_owned(), 1, LabelsFault::Column("path")),
        ("path,label,age,age\n".to_owned(), 1, LabelsFault::Column("age")),
        ("path,label\n\na.png,NORMAL\nb.png,COVID\n".to_owned(), 4, LabelsFault::Label),
        ("path,label\n,NORMAL\n".to_owned(), 2, LabelsFault::Length("path")),
        (format!("path,label\n{long},NORMAL\n"), 2, LabelsFault::Length("path")),
        (format!("path,label,patient\na,NORMAL,{long}\n"), 2, LabelsFault::Length("patient")),
        ("path,label,age\na,NORMAL,058Y\n".to_owned(), 2, LabelsFault::Age),
        ("path,label,age\na,NORMAL,-1\n".to_owned(), 2, LabelsFault::Age),
        ("path,label,age\na,NORMAL,NaN\n".to_owned(), 2, LabelsFault::Age),
        ("path,label,age\na,NORMAL,414\n".to_owned(), 2, LabelsFault::Age),
        ("path,label,view\na,NORMAL,oblique\n".to_owned(), 2, LabelsFault::View),
    ] {
        assert_eq!(read(&table).err(), Some((line, fault)), "{table:.60}");
    }
    let fault = Labels::read(b"path,label\na,NORMAL\nb\n", "").err();
    assert!(matches!(fault, Some((3, LabelsFault::NotCsv(_)))), "{fault:?}");
    let utf16: Vec<u8> = "path,label\na,NORMAL\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (table, line, encoding) in [
        (&b"path,label\n\xff,NORMAL\n"[..], 2, OtherEncoding::Unknown),
        (b"path,\xff\n", 1, OtherEncoding::Unknown),
        (&utf16, 1, OtherEncoding::Utf16),
        (&[b"\xff\xfe", &utf16[..]].concat(), 1, OtherEncoding::Utf16),
    ] {
        let fault = Labels::read(table, "").err().unwrap();
        assert_eq!(fault, (line, LabelsFault::Encoding(encoding)));
        assert!(fault.1.to_string().contains("save it as UTF-8"));
    }
}

#[test]
fn rows_in_vain_are_listed() {
    let table =
        "path,label\n../a.png,NORMAL\n/etc/passwd,NORMAL\nC:\\a.png,NORMAL\n.,NORMAL\nb.png,NORMAL\nc.png,NORMAL\n";
    let mut labels = read(table).unwrap();
    assert!(labels.take("c.png", None).unwrap().is_some());
    let listed: Vec<_> = labels.in_vain().map(|one| (one.name, one.reason)).collect();
    let outside = ["../a.png", "/etc/passwd", "C:\\a.png", "."].map(|name| (name.to_owned(), SkipReason::Outside));
    assert_eq!(listed[..4], outside);
    assert_eq!(listed[4..], [("b.png".to_owned(), SkipReason::Missing)]);
}

#[test]
fn rows_and_folders_that_contradict_each_other_label_nothing() {
    let table = "path,label,age,view\n\
                 a.png,NORMAL,1,\n\
                 a.png,NORMAL,1.0,\n\
                 b.png,NORMAL,1,\n\
                 b.png,PNEUMONIA,1,\n\
                 c.png,NORMAL,1,\n\
                 c.png,NORMAL,2,\n\
                 NORMAL/d.png,PNEUMONIA,,\n\
                 train/NORMAL/e.png,NORMAL,,\n\
                 f.png,NORMAL,,Lateral\n";
    let mut labels = read(table).unwrap();
    let mut take = |path: &str| labels.take(path, metadata::place(path));
    assert!(take("a.png").unwrap().is_some(), "the same twice");
    assert_eq!(take("b.png"), Err(SkipReason::ListedTwice));
    assert_eq!(take("c.png"), Err(SkipReason::ListedTwice));
    let other = SkipReason::OtherLabel { listed: Label::Pneumonia, folder: Label::Normal };
    assert_eq!(take("NORMAL/d.png"), Err(other));
    let (place, _) = take("train/NORMAL/e.png").unwrap().unwrap();
    assert_eq!(place.official, Some(crate::Part::Train));
    assert_eq!(take("f.png"), Err(SkipReason::Refused(Refusal::SideView)));
    assert_eq!(take("PNEUMONIA/g.png"), Ok(metadata::place("PNEUMONIA/g.png").map(|place| (place, None))));
    assert_eq!(take("h.png"), Ok(None));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), rows in "(\"?[a,./\\\\:0-9\"\n]{0,20}){0,8}") {
        let _ = Labels::read(&bytes, "a/");
        if let Ok(labels) = read(&format!("path,label,age\n{rows}")) {
            let _ = labels.in_vain().count();
        }
    }

    #[test]
    fn no_path_leads_out(path in "[a./\\\\:]{0,12}") {
        if let Some(path) = tidy(&path) {
            prop_assert!(!path.starts_with('/') && path.split('/').all(|part| !["", ".", ".."].contains(&part)));
        }
    }
}

/// Tables of this program have an apostrophe before what a spreadsheet would run or take for a number.
#[test]
fn paths_of_own_tables_are_found() {
    for name in ["=1.png", "-a.png", "'quoted.png", "plain.png"] {
        let mut labels = read(&format!("path,label\n{},NORMAL\n{name},NORMAL\n", cell::text(name))).unwrap();
        assert!(matches!(labels.take(name, None), Ok(Some(_))), "{name}");
        assert_eq!(labels.in_vain().count(), 0, "{name}");
        let mut labels = read(&format!("path,label\n{},NORMAL\n", cell::text(name))).unwrap();
        assert!(matches!(labels.take(name, None), Ok(Some(_))), "{name}");
        assert_eq!(labels.in_vain().count(), 0, "{name}");
    }
}

#[test]
fn patients_of_own_tables_are_those_that_they_were() {
    for patient in ["0041", "=1+1", "-7", "'quoted", "3-4", "ward-3", "'"] {
        for cell in [&*cell::text(patient), patient] {
            let labels = read(&format!("path,label,patient\na.png,NORMAL,{cell}\n")).unwrap();
            assert_eq!(row(&labels, "a.png").facts.patient.as_deref(), Some(patient), "{cell}");
        }
    }
}
