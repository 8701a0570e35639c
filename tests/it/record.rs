//! Promise: `classveil record` veils in every frame whom it must, shows whom it may, and what it
//! writes is what the documents say, read by stock tools.

mod browser;
mod inputs;
pub(crate) mod people;
pub(crate) mod stop;

use std::{collections::BTreeMap, fs};

use crate::{
    eyes::Pictures,
    keys::enrol,
    media::{Clips, ffprobe, frame_times, sample},
    retention::contents,
    scene::{Recorded, School, text},
};

/// Same number of pictures, at the same times.
#[track_caller]
pub(crate) fn assert_same_times(got: &std::path::Path, source: &std::path::Path) {
    let (got, expected) = (frame_times(got), frame_times(source));
    assert_eq!(got.len(), expected.len(), "{}", source.display());
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off < 0.0011, "{}, frame {index}: {got} for {expected}", source.display());
    }
}

/// The record in the `comment` tag of an MP4 file.
pub(crate) fn comment(mp4: &std::path::Path) -> serde_json::Value {
    let tags = ffprobe(mp4, "-of json -show_entries format_tags=comment").concat();
    let tags: serde_json::Value = serde_json::from_str(&tags).expect("JSON");
    let comment = tags["format"]["tags"]["comment"].as_str().expect("a comment");
    serde_json::from_str(comment).expect("a record")
}

/// Stock age opens every segment, stock minisign accepts the manifest, stock ffprobe reads the
/// retention record; the segments hold all frames between them.
#[test]
fn stock_tools_read_a_recording() {
    let school = School::with_refused_man();
    fs::copy(school.path("teacher.key"), school.path("t-07.key")).unwrap();
    enrol(|args| school.run(args), &school.path(""), "t-07", "teacher");
    // A school's whole table of names, of which the recording takes those it is about.
    let names = "id,name\nt-07,Anneke Smit\np-01,Jantje Vos\np-77,Pieter Post\nc-02,Corrie Bos\n";
    fs::write(school.path("names.csv"), names).unwrap();
    let words = "--policy refused --dpia DPIA-1 --class 5b --teacher t-07 --coach c-02";
    let mut args: Vec<&str> = words.split(' ').collect();
    args.extend(["--segment", "3 s", "--retain", "14 d", "--question", "Does Jantje get a turn?"]);
    args.extend(["--names", "names.csv"]);
    let Recorded { json, folder, err } = school.record(&sample("obama_speech.mp4"), &args);
    let recorded = &json;
    assert_eq!(recorded["frames_in"], 105);
    assert_eq!(recorded["segments"], 3);
    assert!((recorded["seconds"].as_f64().unwrap() - 8.7).abs() < 0.3, "{recorded}");
    assert!(recorded["tracks"].as_u64().unwrap() >= 2, "{recorded}");
    assert_eq!(
        folder,
        school.store().join("recordings").join(recorded["recording"].as_str().unwrap())
    );
    // minisign finds the key beside the store's recordings.
    let public = school.store().join("box.pub");
    school.stock(&folder, "minisign", &["-Vm", "manifest.json", "-p", text(&public)]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["state"], "sealed");
    for (field, value) in [
        ("purpose", "coaching"),
        ("legal_basis", "legitimate-interest"),
        ("policy", "refused"),
        ("class", "5b"),
        ("teacher", "t-07"),
        ("coach", "c-02"),
        ("dpia", "DPIA-1"),
        ("veil", "veil"),
        ("region", "head"),
    ] {
        assert_eq!(manifest[field], value, "{field}");
    }
    assert_eq!(manifest["recipients"], serde_json::json!([school.recipient]));
    assert!(!manifest.to_string().contains("Jantje"));
    let details: serde_json::Value =
        serde_json::from_slice(&school.unseal(&folder, "details.json.age")).unwrap();
    assert_eq!(details["question"], "Does Jantje get a turn?");
    let known = [("c-02", "Corrie Bos"), ("p-01", "Jantje Vos"), ("t-07", "Anneke Smit")];
    assert_eq!(details["names"], serde_json::json!(BTreeMap::from(known)));
    // Under the recording's key and nowhere else.
    let mut all: Vec<u8> = contents(&school.store()).into_values().flatten().collect();
    all.extend(contents(&school.path("home")).into_values().flatten());
    all.extend(err.bytes().chain(json.to_string().bytes()));
    for name in ["Anneke", "Jantje", "Corrie", "Pieter"] {
        assert!(!all.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
    }

    let days =
        |value: &serde_json::Value| -> jiff::Timestamp { value.as_str().unwrap().parse().unwrap() };
    let kept = days(&manifest["delete_by"]).duration_since(days(&manifest["started"]));
    assert_eq!(kept.as_secs(), 14 * 86_400);
    let mut frames = 0;
    for number in 1..=3 {
        let mp4 = school.unseal(&folder, &format!("cam1/{number:06}.mp4.age"));
        let path = school.path(&format!("{number}.mp4"));
        fs::write(&path, mp4).unwrap();
        let record = comment(&path);
        assert_eq!(record["recording"], recorded["recording"]);
        assert_eq!(record["segment"], number);
        for field in ["purpose", "legal_basis", "delete_by", "policy", "list_version"] {
            assert_eq!(record[field], manifest[field], "{field}");
        }
        assert!(days(&record["recorded_at"]) >= days(&manifest["started"]));
        let counts = &record["counts"];
        assert!(counts["tracks_veiled"].as_u64().unwrap() >= 1, "{record}");
        assert!(["passed", "corrected"].contains(&record["self_check"].as_str().unwrap()));
        let pictures =
            ffprobe(&path, "-count_packets -select_streams v -show_entries stream=nb_read_packets");
        assert_eq!(pictures[0], counts["frames"].to_string(), "segment {number}");
        assert_eq!(ffprobe(&path, "-show_entries stream=codec_name"), ["h264"]);
        // Segments start on a key frame, so each plays alone.
        let first =
            ffprobe(&path, "-select_streams v -read_intervals %+#1 -show_entries packet=flags");
        assert!(first[0].starts_with('K'), "segment {number}: {first:?}");
        frames += counts["frames"].as_u64().unwrap();
        // The record of reasons names every frame and no person but by pseudonym.
        let tracks: serde_json::Value = serde_json::from_slice(
            &school.unseal(&folder, &format!("cam1/{number:06}.tracks.age")),
        )
        .unwrap();
        assert_eq!(tracks["frames"], counts["frames"]);
        let refused =
            tracks["tracks"].as_array().unwrap().iter().filter(|t| t["state"] == "refused");
        for track in refused {
            assert_eq!((&track["pupil"], &track["frames_shown"]), (&"p-01".into(), &0.into()));
        }
    }
    assert_eq!(frames, 105);
    let opened = school.open(&folder);
    assert_same_times(&opened, &sample("obama_speech.mp4"));
    assert_eq!(Pictures::of(&opened).len(), 105);
    // The joined file says of the whole what its segments say of themselves.
    let whole = comment(&opened);
    assert_eq!((&whole["segments"], &whole["counts"]["frames"]), (&3.into(), &105.into()));
    assert!(whole.get("segment").is_none(), "{whole}");
    for field in ["recording", "purpose", "delete_by", "policy", "list_version"] {
        assert!(manifest[field] == whole[field] && whole[field].is_string(), "{field}: {whole}");
    }
}

/// However long segments are, and however short the last one, a finished picture of each is looked
/// at.
#[test]
fn every_segment_is_checked() {
    let school = School::with_refused_man();
    let clips = Clips::new();
    let from = sample("obama_speech.mp4");
    // Two segments, and a last one of two frames.
    let clip = clips.make("short.mp4", &format!("-t 2.16 -i {} -c copy", from.display()));
    let Recorded { json, folder, .. } =
        school.record(&clip, &["--policy", "refused", "--dpia", "D", "--segment", "1 s"]);
    let segments = json["segments"].as_u64().unwrap();
    assert!(segments >= 3, "{json}");
    for number in 1..=segments {
        let mp4 = school.unseal(&folder, &format!("cam1/{number:06}.mp4.age"));
        let path = school.path(&format!("{number}.mp4"));
        fs::write(&path, mp4).unwrap();
        let verdict = comment(&path)["self_check"].clone();
        assert!(verdict == "passed" || verdict == "corrected", "segment {number}: {verdict}");
    }
}
