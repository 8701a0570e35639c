//! Where regions lie, tried out.

use proptest::prelude::*;

use super::*;
use crate::{veil::evidence::Reason, vision::motion::tests::seen_from};

const SIZE: FrameSize = FrameSize::new(640, 360);

fn at(seq: u64) -> Pts {
    Pts::from_nanos(seq * 40_000_000)
}

fn frame(seq: u64, looked: bool) -> At {
    At { seq, pts: at(seq), size: SIZE, looked, hold_weak: HOLD_WEAK, scene: 0..u64::MAX }
}

fn track(seqs: &[u64], step: f32) -> Track {
    let sightings: VecDeque<_> = seqs
        .iter()
        .map(|&seq| Sighting {
            seq,
            pts: at(seq),
            rect: Rect::new(100.0 + step * seq as f32, 100.0, 50.0, 60.0),
            score: 0.9,
        })
        .collect();
    Track { id: TrackId(1), sightings, live: true, best_score: 0.9 }
}

fn subject(track: &Track, state: State) -> Subject<'_> {
    Subject { track, state, elsewhere: Elsewhere::default() }
}

#[test]
fn who_walks_from_look_to_look_is_covered_on_the_way() {
    fn walker(seq: u64) -> Rect {
        Rect::new(100.0 + 10.0 * seq as f32, 200.0, 36.0, 46.0)
    }
    // 36 pixels wide and 250 a second, as somebody at the back of a room, seen every 12th frame.
    let seen = |id: u32, seq: u64| Track {
        id: TrackId(id),
        sightings: VecDeque::from([Sighting { seq, pts: at(seq), rect: walker(seq), score: 0.5 }]),
        live: true,
        best_score: 0.5,
    };
    let tracks: Vec<Track> = (0..4).map(|i| seen(i, 12 * u64::from(i))).collect();
    let cover = |seq: u64, state: &State| {
        let subjects: Vec<_> = tracks.iter().map(|track| subject(track, state.clone())).collect();
        let still = CameraMotion::default();
        match decide(&frame(seq, true), &subjects, &still, Region::Head).0.cover {
            Cover::Regions(hidden) => hidden,
            _ => panic!("not regions"),
        }
    };
    for seq in 0..=36 {
        let hidden = cover(seq, &State::Undecided);
        let face = walker(seq);
        assert!(hidden.iter().any(|h| h.region.contains(face)), "{seq}: {hidden:?}");
        assert!(cover(seq, &cleared()).is_empty());
    }
    // Too far for anybody, or another size: two people.
    let far = |from: Rect, to: Rect| {
        let at_rect = |seq, rect| Sighting { seq, pts: at(seq), rect, score: 0.5 };
        walked(&at_rect(0, from), &at_rect(12, to), at(6))
    };
    assert!(far(walker(0), walker(12)).is_some());
    assert_eq!(far(walker(0), walker(40)), None);
    assert_eq!(far(walker(0), Rect { w: 60.0, ..walker(12) }), None);
}

#[test]
fn who_turns_round_between_two_looks_is_covered_out_there() {
    // 10 pixels a frame to the left until frame 5, then back; not seen from frame 2 to frame 8.
    let x = |seq: u64| 100.0 + 10.0 * (seq as f32 - 5.0).abs();
    let face = |seq: u64| Rect::new(x(seq), 100.0, 25.0, 33.0);
    let sightings: VecDeque<_> = [0, 1, 2, 8, 9, 10]
        .map(|seq| Sighting { seq, pts: at(seq), rect: face(seq), score: 0.5 })
        .into();
    let track = Track { id: TrackId(1), sightings, live: true, best_score: 0.5 };
    for seq in 0..=10 {
        let Cover::Regions(hidden) = verdict(&track, State::Undecided, seq, true, Region::Head)
        else {
            panic!("not regions")
        };
        assert!(hidden.iter().any(|h| h.region.contains(face(seq))), "{seq}: {hidden:?}");
    }
}

#[test]
fn the_largest_veil_is_painted_last() {
    let seen = |id: u32, rect: Rect| Track {
        id: TrackId(id),
        sightings: VecDeque::from([Sighting { seq: 3, pts: at(3), rect, score: 0.9 }]),
        live: true,
        best_score: 0.9,
    };
    let (face, ear) = (Rect::new(100.0, 100.0, 60.0, 80.0), Rect::new(150.0, 120.0, 12.0, 16.0));
    for rects in [[face, ear], [ear, face]] {
        let tracks = [seen(1, rects[0]), seen(2, rects[1])];
        let subjects: Vec<_> =
            tracks.iter().map(|track| subject(track, State::Undecided)).collect();
        let still = CameraMotion::default();
        let decided = decide(&frame(3, true), &subjects, &still, Region::Head).0;
        let Cover::Regions(hidden) = decided.cover else { panic!("not regions") };
        assert!(hidden[0].region.area() < hidden[1].region.area(), "{hidden:?}");
        assert!(hidden[1].region.contains(hidden[0].region), "{hidden:?}");
    }
}

fn verdict(track: &Track, state: State, seq: u64, looked: bool, region: Region) -> Cover {
    let subjects = [subject(track, state)];
    decide(&frame(seq, looked), &subjects, &CameraMotion::default(), region).0.cover
}

fn cleared() -> State {
    State::Cleared(Reason::NobodyRefuses)
}

#[test]
fn a_frame_without_a_look_is_veiled_whole() {
    for region in [Region::Head, Region::Person, Region::Picture] {
        let cover = verdict(&track(&[3], 0.0), cleared(), 3, false, region);
        assert_eq!(cover, Cover::Whole);
    }
}

#[test]
fn a_hidden_track_reaches_back_and_forward() {
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    let track = track(&[40, 41, 42, 50], 4.0);
    for (seq, hidden) in [(10, false), (16, true), (39, true), (46, true), (99, true), (101, false)]
    {
        let cover = verdict(&track, refused.clone(), seq, true, Region::Head);
        let Cover::Regions(regions) = cover else { panic!("regions") };
        assert_eq!(!regions.is_empty(), hidden, "frame {seq}");
    }
}

#[test]
fn a_refused_track_is_held_however_unsure_the_detector_was() {
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    let mut track = track(&[10], 0.0);
    track.best_score = 0.25;
    let hidden = |state: State, seq| match verdict(&track, state, seq, true, Region::Head) {
        Cover::Regions(regions) => !regions.is_empty(),
        _ => panic!("regions"),
    };
    // 1.9 s after the last sighting.
    assert!(hidden(refused, 57));
    assert!(!hidden(State::Undecided, 57));
    // 0.8 s after it: where close looks are seldom, the unsure are held for longer.
    assert!(!hidden(State::Undecided, 30));
    let subjects = [subject(&track, State::Undecided)];
    let seldom = At { hold_weak: HOLD, ..frame(30, true) };
    let decided = decide(&seldom, &subjects, &CameraMotion::default(), Region::Head);
    assert_eq!(decided.1.len(), 1);
}

#[test]
fn a_box_that_jumps_covers_where_it_was() {
    // Frame 4 finds half of the face, at its side; it is lost after that.
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    let mut track = track(&[1, 2, 3, 4], 0.0);
    let face = track.sightings[2].rect;
    track.sightings[3].rect = Rect { x: face.x + 35.0, w: 20.0, ..face };
    for seq in 1..30 {
        let cover = verdict(&track, refused.clone(), seq, true, Region::Head);
        let Cover::Regions(hidden) = cover else { panic!("regions") };
        assert!(hidden.iter().any(|h| h.region.contains(face)), "frame {seq}");
    }
}

#[test]
fn a_veil_that_is_only_held_leaves_out_a_face_that_is_seen_and_shown() {
    let unsure = track(&[3], 0.0);
    let known = Track { id: TrackId(2), ..track(&[10], 0.0) };
    let hidden = |state: State, seq: u64| {
        let subjects = [subject(&unsure, state), subject(&known, cleared())];
        let camera = CameraMotion::default();
        let (verdict, _) = decide(&frame(seq, true), &subjects, &camera, Region::Head);
        let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
        let over = |face: Rect| hidden.iter().any(|h| h.region.intersection(face).area() > 0.0);
        let face = known.sightings[0].rect;
        (over(face), over(face.grown(-RIM, -RIM, -RIM)), hidden.len())
    };
    // Hair and surroundings stay veiled on all four sides.
    assert_eq!(hidden(State::Undecided, 10), (false, false, 4));
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    assert_eq!(hidden(refused.clone(), 10), (true, false, 4));
    // Whoever is seen himself is covered.
    for state in [State::Undecided, refused] {
        assert_eq!(hidden(state, 3), (true, true, 1));
    }
}

#[test]
fn what_surrounds_a_doubtful_face_leaves_out_one_that_is_seen_and_shown_beside_it() {
    let known = Track { id: TrackId(2), ..track(&[3], 0.0) };
    let covers = |score: f32, state: State, off: f32| {
        let mut unsure = Track { best_score: score, ..track(&[3], 0.0) };
        unsure.sightings[0].rect.x += off;
        let own = unsure.sightings[0].rect;
        let subjects = [subject(&unsure, state), subject(&known, cleared())];
        let camera = CameraMotion::default();
        let (verdict, _) = decide(&frame(3, true), &subjects, &camera, Region::Head);
        let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
        assert!(hidden.iter().any(|h| h.region.contains(own)), "what was found stays veiled");
        let face = known.sightings[0].rect.grown(-RIM, -RIM, -RIM);
        hidden.iter().any(|h| h.region.intersection(face).area() > 0.0)
    };
    assert!(!covers(0.3, State::Undecided, 50.0));
    assert!(covers(0.7, State::Undecided, 50.0));
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    assert!(covers(0.3, refused, 50.0));
    assert!(covers(0.3, State::Undecided, 10.0));
}

#[test]
fn nothing_is_held_in_another_scene() {
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    let track = track(&[40, 41], 0.0);
    let hidden = |seq: u64, scene: Range<u64>| {
        let subjects = [subject(&track, refused.clone())];
        let frame = At { scene, ..frame(seq, true) };
        !decide(&frame, &subjects, &CameraMotion::default(), Region::Head).1.is_empty()
    };
    assert!(hidden(39, 30..60) && hidden(40, 40..42) && hidden(45, 30..60));
    assert!(!hidden(39, 0..40) && !hidden(42, 42..u64::MAX));
}

#[test]
fn who_goes_on_or_turns_back_out_of_sight_is_covered_while_he_is_held() {
    // Three times the face's width a second across the picture, to either side.
    for step in [6.0, -6.0] {
        let mut track = track(&[30, 31, 32, 33, 34], step);
        for sighting in &mut track.sightings {
            sighting.rect.x += 150.0 - 32.0 * step;
        }
        let [first, last] = [0, 4].map(|i| track.sightings[i].rect);
        for frames in 1..=25u64 {
            for (seq, from) in [(34 + frames, last), (30 - frames, first)] {
                let cover = verdict(&track, State::Undecided, seq, true, Region::Head);
                let Cover::Regions(hidden) = cover else { panic!("regions") };
                let [Hidden { region, .. }] = hidden[..] else { panic!("{hidden:?}") };
                for way in [6.0, -6.0] {
                    let gone = Rect { x: from.x + way * frames as f32, ..from };
                    assert!(region.contains(from) && region.contains(gone), "{seq}: {region:?}");
                }
                // He walks, and does not fly: up and down it grows with time alone.
                let seconds = frames as f32 / 25.0;
                let most = even(from).h * (1.0 + 2.0 * GROWTH_PER_SECOND * seconds);
                let most = most * (1.0 + HEAD_UP + HEAD_DOWN) + 1.0;
                assert!(region.h <= most, "{seq}: {region:?} is higher than {most}");
            }
        }
    }
}

#[test]
fn nothing_is_held_for_whom_is_surely_seen_elsewhere() {
    let refused = State::Refused { pupil: "p-1".parse().expect("ok"), cosine: 0.5 };
    let track = track(&[40, 41, 50], 0.0);
    let held = |seq: u64, until: Option<u64>, from: Option<u64>| {
        let elsewhere = Elsewhere { until, from };
        let subjects = [Subject { elsewhere, ..subject(&track, refused.clone()) }];
        let still = CameraMotion::default();
        !decide(&frame(seq, true), &subjects, &still, Region::Head).1.is_empty()
    };
    assert!(held(60, None, None) && held(60, Some(30), Some(61)) && !held(61, None, Some(61)));
    assert!(held(30, None, None) && held(31, Some(30), None) && !held(30, Some(30), None));
    // Where the track itself was, its veil is, whatever else is said.
    for seq in [40, 45, 50] {
        assert!(held(seq, Some(100), Some(0)), "{seq}");
    }
}

#[test]
fn a_cleared_track_is_shown_where_it_was_seen_and_hides_nothing() {
    let cover = verdict(&track(&[5, 9], 0.0), cleared(), 5, true, Region::Head);
    assert_eq!(cover, Cover::Regions(Vec::new()));
    let cover = verdict(&track(&[5, 9], 0.0), cleared(), 12, true, Region::Picture);
    assert_eq!(cover, Cover::AllBut { shown: Vec::new(), hidden: Vec::new() });
}

#[test]
fn nothing_is_shown_for_a_face_that_is_only_thought_to_be_there() {
    let track = track(&[5, 9], 0.0);
    let shown = |seq| match verdict(&track, cleared(), seq, true, Region::Picture) {
        Cover::AllBut { shown, .. } => shown.len(),
        _ => panic!("all but"),
    };
    assert_eq!((shown(5), shown(7), shown(9)), (1, 0, 1));
}

#[test]
fn a_held_veil_goes_with_the_camera() {
    // The camera pans 9 pixels a frame; the face, which keeps its place in the room, is seen in
    // three frames and then not for most of a second.
    let mut camera = CameraMotion::default();
    for seq in 0..40u8 {
        camera.step(&seen_from(-9.0 * f32::from(seq), 0.0), at(seq.into()), seq == 0);
    }
    let mut track = track(&[20, 21, 22], -9.0);
    for sighting in &mut track.sightings {
        sighting.rect.x += 330.0;
    }
    for seq in 5..40u8 {
        let truth = Rect::new(430.0 - 9.0 * f32::from(seq), 100.0, 50.0, 60.0);
        let hidden = |camera: &CameraMotion| {
            let subjects = [subject(&track, State::Undecided)];
            let seq = u64::from(seq);
            let decided = decide(&frame(seq, true), &subjects, camera, Region::Head);
            match decided.0.cover {
                Cover::Regions(hidden) => hidden.iter().any(|h| h.region.contains(truth)),
                _ => false,
            }
        };
        assert!(hidden(&camera), "frame {seq}");
    }
}

#[test]
fn a_gap_is_bridged_along_the_cameras_way() {
    // Out and back: before and after the gap the face is in one place.
    let mut camera = CameraMotion::default();
    let x = |seq: u64| {
        if (10..30).contains(&seq) { -12.0 * (10.0 - (seq as f32 - 20.0).abs()) } else { 0.0 }
    };
    for seq in 0..40 {
        camera.step(&seen_from(x(seq), 0.0), at(seq), seq == 0);
    }
    let mut track = track(&[9, 31], 0.0);
    for sighting in &mut track.sightings {
        sighting.rect.x += 200.0;
    }
    for seq in 9..=31 {
        let subjects = [subject(&track, State::Undecided)];
        let (verdict, _) = decide(&frame(seq, true), &subjects, &camera, Region::Head);
        let Cover::Regions(hidden) = verdict.cover else { panic!("regions") };
        let truth = Rect::new(300.0 + x(seq), 100.0, 50.0, 60.0);
        assert!(hidden.iter().any(|h| h.region.contains(truth)), "frame {seq}");
    }
}

proptest! {
    #[test]
    fn every_veil_has_one_shape_and_a_stepped_size_and_covers_the_face(
        x in -50.0..1900.0f32, y in -50.0..1000.0f32, w in 8.0..900.0f32, ratio in 0.8..2.0f32,
    ) {
        let face = Rect::new(x, y, w, w * ratio);
        let even = even(face);
        let (slack, (a, b)) = (1e-3 * w, (face.center(), even.center()));
        prop_assert!(even.grown(1e-4, 1e-4, 1e-4).contains(face), "{face:?} {even:?}");
        prop_assert!((a.x - b.x).abs() < slack && (a.y - b.y).abs() < slack);
        prop_assert!((even.h / even.w - FACE_RATIO).abs() < 1e-3);
        let steps = even.h.ln() / FACE_STEP.ln();
        prop_assert!((steps - steps.round()).abs() < 0.01, "{steps}");
        // No larger than the shape and one step ask for.
        prop_assert!(even.h <= 1.001 * FACE_STEP * face.h.max(face.w * FACE_RATIO));
    }

    #[test]
    fn the_region_covers_the_moving_face(
        step in -12.0..12.0f32, gap in 1u64..40, seq in 0u64..120, person in any::<bool>(),
    ) {
        // A face that moves steadily, seen only every `gap` frames.
        let seqs: Vec<u64> = (0..120).step_by(usize::try_from(gap).expect("small")).collect();
        let track = track(&seqs, step);
        let region = if person { Region::Person } else { Region::Head };
        let last = *seqs.last().expect("some");
        prop_assume!(seq <= last + 10);
        let truth = Rect::new(100.0 + step * seq as f32, 100.0, 50.0, 60.0)
            .intersection(SIZE.rect());
        prop_assume!(truth.area() > 0.0);
        let Cover::Regions(hidden) = verdict(&track, State::Undecided, seq, true, region) else {
            panic!("regions")
        };
        prop_assert_eq!(hidden.len(), 1);
        prop_assert!(hidden[0].region.contains(truth), "{:?} misses {:?}", hidden[0], truth);
    }
}
