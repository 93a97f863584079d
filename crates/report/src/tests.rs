//! Tests of whole reports and tables.

use std::fs;

use crate::{example, table};

#[test]
fn the_html_file_is_self_contained() {
    let html = example::report().html().unwrap();
    for forbidden in
        ["<script", "<link", "<iframe", "@import", "url(", "src=\"http", "href=\"http", "href=\"#"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let addresses = html.matches("http").count();
    assert_eq!(addresses, html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert_eq!(html.matches("data:image/png;base64,").count(), 2);
    assert_eq!(html.matches("<svg ").count(), 8, "five curves, the box plot, two overlays");
}

#[test]
fn text_is_escaped() {
    let mut report = example::report();
    report.classes[0] = "<b onload=x>\"'".to_owned();
    report.settings[0].1 = "</dd><script>".to_owned();
    report.overlays[0].case = "\" onerror=\"x".to_owned();
    let html = report.html().unwrap();
    assert!(!html.contains("<b onload") && !html.contains("<script>") && !html.contains("\" onerror=\""));
    assert!(html.contains("Abdomen &#60;CT&#62; &#38; four organs"));
}

#[test]
fn the_worst_case_is_first_in_tables_and_overlays() {
    let html = example::report().html().unwrap();
    let overlays = html.find("Overlays (worst first)").unwrap();
    let (tables, overlays) = html.split_at(overlays);
    let order = |part: &str| {
        let mut found: Vec<_> = ["abdomen_001", "abdomen_002", "abdomen_003"]
            .into_iter()
            .filter_map(|case| part.find(case).map(|place| (place, case)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, case)| case).collect::<Vec<_>>()
    };
    // Means by hand: 002 (0.91 + 0.88 + 0.74 + 0) / 4 = 0.6325; 003 (0.95 + 0.94 + 0) / 3 = 0.63
    assert_eq!(order(tables), ["abdomen_003", "abdomen_002", "abdomen_001"]);
    assert_eq!(order(overlays), ["abdomen_002", "abdomen_001"]);
}

#[test]
fn empty_masks_have_remarks() {
    let html = example::report().html().unwrap();
    for remark in [
        "<td class=\"bad\">missed</td>",
        "<td class=\"bad\">false alarm</td>",
        "<td class=\"faint\">absent</td>",
    ] {
        assert!(html.contains(remark), "{remark}");
    }
}

#[test]
fn empty_sections_are_left_out() {
    let mut report = example::report();
    report.histories.clear();
    report.overlays.clear();
    let html = report.html().unwrap();
    assert!(!html.contains("Training") && !html.contains("Overlays") && html.ends_with("</html>"));
    report.scores.cases.clear();
    report.scores.mean.clear();
    assert!(!report.html().unwrap().contains("<svg "));
    assert!(report.html().unwrap().contains("<td>0</td>"), "classes without scores keep their rows");
    report.classes.clear();
    assert!(report.html().unwrap().ends_with("</html>"));
}

#[test]
fn folds_share_figures() {
    let mut report = example::report();
    report.histories = vec![report.histories[0].clone(), report.histories[0].clone()];
    let html = report.html().unwrap();
    assert!(html.contains("\nfold 1\n") && html.contains("One line per fold"), "{html}");
    assert!(!html.contains("faint: every step"));
}

#[test]
fn figures_are_written_as_files() {
    let folder = tempfile::tempdir().unwrap();
    example::report().write_figures(folder.path()).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    let losses =
        ["loss-alignment.svg", "loss-class-embedding.svg", "loss-segmentation.svg", "loss-total.svg"];
    assert_eq!(names, [&["dice-boxes.svg", "dice.svg"][..], &losses, &["overlays"]].concat());
}

#[test]
fn writing_replaces_an_existing_report_and_leaves_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, "older").unwrap();
    let report = example::report();
    report.write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), report.html().unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("no such folder/report.html");
    let error = format!("{:#}", report.write(&nowhere).unwrap_err());
    assert!(error.starts_with(&nowhere.display().to_string()), "{error}");
}

#[test]
fn plain_text_has_aligned_columns() {
    let report = example::report();
    let expected = "\
Class                  Dice         95 % CI    HD95 (mm)  HD95 penalized     NSD (2 mm)    ASSD (mm)  Cases  Missed
───────────────────────────────────────────────────────────────────────────────────────────────────────────────────
Liver         0.940 ± 0.022  [0.910, 0.960]  1.80 ± 0.65               –  0.846 ± 0.019  0.30 ± 0.11      3       0
Spleen        0.923 ± 0.031  [0.880, 0.950]  2.30 ± 0.93               –  0.831 ± 0.028  0.38 ± 0.15      3       0
Right kidney  0.835 ± 0.095  [0.740, 0.930]  4.95 ± 2.85               –  0.752 ± 0.086  0.82 ± 0.48      2       0
Gallbladder   0.410 ± 0.410  [0.000, 0.820]  5.40 ± 0.00          202.70  0.246 ± 0.348  0.90 ± 0.00      2       1

mean Dice 0.777 over 3 cases (mean ± std, 95 % bootstrap CI; missed = Dice 0); convention monai
";
    assert_eq!(table::text(&report.scores, &report.classes), expected);
}

#[test]
fn markdown_keeps_its_columns() {
    let mut report = example::report();
    report.scores.cases.clear();
    report.scores.mean.clear();
    let expected = "\
| Class | Dice | 95 % CI | HD95 (mm) | NSD (2 mm) | ASSD (mm) | Cases | Missed |
| ----- | ---: | ------: | --------: | ---------: | --------: | ----: | -----: |
| a\\|b  |    – |       – |         – |          – |         – |     0 |      0 |

mean Dice – over 0 cases (mean ± std, 95 % bootstrap CI; missed = Dice 0); convention monai
";
    assert_eq!(table::markdown(&report.scores, &["a|b".to_owned()]), expected);
}
