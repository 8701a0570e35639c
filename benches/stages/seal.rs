//! Sealing a segment: encrypted, digested and made durable. The folder is in the target folder, so
//! that the figure is about a disk and not about memory.

use std::{collections::BTreeMap, time::Duration};

use classveil::{
    units::{CameraId, Pts, RecordingId},
    vault::{BoxKey, Details, LegalBasis, NewRecording, Purpose, RecordingWriter, SegmentFile},
};
use criterion::{BatchSize, Criterion, Throughput};
use jiff::Timestamp;

use crate::support::Numbers;

/// Six seconds at 4 Mbit/s.
const SEGMENT_BYTES: usize = 3 << 20;
/// Nobody's: the key that the format's own documentation shows.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

pub(crate) fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = folder.path().join("store");
    let key = BoxKey::load_or_create(&folder.path().join("box.key"), &store).expect("a key");
    let mp4 = Numbers::new(6).bytes(SEGMENT_BYTES);
    let mut group = criterion.benchmark_group("seal");
    group.sample_size(20).throughput(Throughput::Bytes(SEGMENT_BYTES as u64));
    let mut number = 0;
    group.bench_function("3 MB segment", |bencher| {
        let began = Timestamp::UNIX_EPOCH;
        let mut writer =
            RecordingWriter::create(&store, recording(began), &key).expect("a recording");
        let written = writer.path().join(CameraId::first().as_str());
        number = 0;
        bencher.iter_batched(
            || {
                // Only the newest segment stays, so that long runs do not fill the disk.
                let _ = std::fs::remove_file(written.join(format!("{number:06}.mp4.age")));
                number += 1;
                segment(number, &mp4)
            },
            |segment| writer.write(segment).expect("it writes"),
            BatchSize::PerIteration,
        );
        std::fs::remove_dir_all(writer.path()).expect("it can be removed");
    });
    group.finish();
}

fn segment(number: u32, mp4: &[u8]) -> SegmentFile {
    SegmentFile {
        camera: CameraId::first(),
        number,
        mp4: mp4.to_vec(),
        tracks: vec![b'{'; 20 << 10],
        frames: 180,
        start: Pts::ZERO,
        end: Pts::from_nanos(6_000_000_000),
    }
}

fn recording(began: Timestamp) -> NewRecording {
    NewRecording {
        id: RecordingId::new(began),
        started: began,
        delete_by: began + jiff::SignedDuration::from_hours(24),
        purpose: Purpose::Coaching,
        legal_basis: LegalBasis::LegitimateInterest,
        dpia: None,
        continues: None,
        class: None,
        teacher: None,
        coach: None,
        cameras: vec![CameraId::first()],
        policy: "refused".to_owned(),
        veil: "veil".to_owned(),
        region: "head".to_owned(),
        recipients: vec![RECIPIENT.parse().expect("a recipient")],
        teacher_keys: Vec::new(),
        signers: Vec::new(),
        replaces: Vec::new(),
        list_version: "0".repeat(64),
        models: BTreeMap::new(),
        encoder: "x264enc".to_owned(),
        audio: false,
        segment: Duration::from_secs(6),
        look_ahead: Duration::from_secs(2),
        software: "classveil bench".to_owned(),
        details: Details::default(),
        gaps: Vec::new(),
    }
}
