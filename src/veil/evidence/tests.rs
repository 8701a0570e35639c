//! How views add up, tried out.

use proptest::prelude::*;

use super::*;
use crate::vision::{
    identify::{Gallery, Person, Standing},
    infer::Thresholds,
};

/// A face at the given cosine to the refused person (axis 0) and to the consenting one (1).
fn face(refused: f32, consented: f32, other: usize) -> Embedding {
    let mut raw = [0.0; Embedding::LEN];
    raw[0] = refused;
    raw[1] = consented;
    raw[2 + other] = (1.0 - refused * refused - consented * consented).max(0.0).sqrt();
    Embedding::new(raw).expect("a direction")
}

fn gallery(photos: usize) -> Gallery {
    let person = |standing, axis: usize| {
        let mut raw = [0.0; Embedding::LEN];
        raw[axis] = 1.0;
        let reference = Embedding::new(raw).expect("a direction");
        Person { standing, references: vec![reference; photos], recent: photos }
    };
    let id = |s: &str| s.parse::<PupilId>().expect("a pseudonym");
    Gallery {
        people: [
            (id("p-1"), person(Standing::Refused, 0)),
            (id("p-2"), person(Standing::Consented, 1)),
        ]
        .into(),
    }
}

fn judge(policy: Policy) -> Judge {
    Judge::new(policy, &gallery(2), Thresholds::built_in().expect("manifest"))
}

fn view(width_px: f32, embedding: Embedding) -> View {
    View { width_px, oblique: false, strength: 12.0, reliable: true, embedding }
}

#[test]
fn three_far_views_clear_and_small_ones_never_do() {
    let judge = judge(Policy::Refused);
    for (width, cleared) in [(80.0, true), (30.0, false), (10.0, false)] {
        let mut evidence = Evidence::default();
        for i in 0..3 {
            assert_eq!(evidence.state(&judge), State::Undecided);
            evidence.add(&view(width, face(0.1, 0.0, i)), &judge);
        }
        assert_eq!(matches!(evidence.state(&judge), State::Cleared(_)), cleared, "{width}");
    }
}

#[test]
fn what_follows_a_refused_track_takes_twice_as_many_views() {
    let judge = judge(Policy::Refused);
    let mut evidence = Evidence::after_refused();
    for seen in 1..=6 {
        evidence.add(&view(80.0, face(0.1, 0.0, 0)), &judge);
        assert!(evidence.was_refused());
        assert_eq!(matches!(evidence.state(&judge), State::Cleared(_)), seen == 6, "{seen}");
    }
}

#[test]
fn somebody_who_may_be_seen_is_told_from_a_refused_one_who_resembles_him() {
    let judge = judge(Policy::Refused);
    // Views of the two are more alike than those of strangers.
    let (refused, cleared) = (face(0.8, 0.3, 1), face(0.2, 0.9, 0));
    let mut evidence = Evidence::default();
    evidence.add(&view(80.0, refused.clone()), &judge);
    let seen = view(80.0, cleared.clone());
    assert!(!evidence.drifts(&seen) && evidence.is_left(&seen, &judge));
    assert!(!evidence.is_left(&View { reliable: false, ..seen.clone() }, &judge));
    assert!(!evidence.is_left(&View { oblique: true, ..seen.clone() }, &judge));
    assert!(!evidence.is_left(&view(80.0, refused.clone()), &judge), "himself");
    assert!(!evidence.is_left(&view(80.0, face(0.4, 0.3, 1)), &judge), "nobody who is known");
    let judge = self::judge(Policy::UnlessCleared);
    let mut own = Evidence::default();
    assert!(!own.is_another(&view(80.0, refused.clone()), &judge), "nobody was seen yet");
    for _ in 0..6 {
        own.add(&seen, &judge);
    }
    assert!(matches!(own.state(&judge), State::Cleared(Reason::Matched { .. })));
    assert!(own.is_another(&view(80.0, refused), &judge) && !own.is_another(&seen, &judge));
    // A turned head of the refused person, which is hardly more like his photo than like the other.
    assert!(!own.is_another(&view(80.0, face(0.6, 0.45, 1)), &judge));
}

#[test]
fn two_tracks_are_of_one_refused_person_where_all_that_was_seen_says_so() {
    let mut gallery = gallery(2);
    let own = gallery.people.values().next().cloned().expect("listed");
    let mut raw = [0.0; Embedding::LEN];
    raw[50] = 1.0;
    let other = Embedding::new(raw).expect("a direction");
    gallery.people.insert("p-3".parse().expect("ok"), Person { references: vec![other; 2], ..own });
    let thresholds = Thresholds::built_in().expect("manifest");
    let judge = Judge::new(Policy::Refused, &gallery, thresholds);
    let seen = |views: &[Embedding]| {
        let mut evidence = Evidence::default();
        for face in views {
            evidence.add(&view(80.0, face.clone()), &judge);
        }
        evidence
    };
    let him = seen(&[face(0.8, 0.1, 1), face(0.7, 0.2, 1)]);
    assert!(him.is_also(&seen(&[face(0.9, 0.0, 1)]), &judge));
    // Like his photos, but not like him: a look-alike.
    assert!(!him.is_also(&seen(&[face(0.6, 0.0, 2)]), &judge));
    // Somebody else who is refused, whom one view took for him.
    assert!(!him.is_also(&seen(&[face(0.8, 0.1, 1), face(0.1, 0.0, 48)]), &judge));
    let small = view(24.0, face(0.9, 0.0, 1));
    let mut hardly = Evidence::default();
    hardly.add(&small, &judge);
    assert!(hardly.was_refused() && !him.is_also(&hardly, &judge), "too little was seen of it");
    assert!(!him.is_also(&seen(&[face(0.1, 0.9, 1)]), &judge), "not refused");
}

/// A refused person with two photos of which each is `alike` to the other, and how far from the
/// nearer one a view is.
fn spread(alike: f32, recent: usize) -> Judge {
    let mut gallery = gallery(2);
    let id: PupilId = "p-1".parse().expect("a pseudonym");
    let mut raw = [0.0; Embedding::LEN];
    (raw[0], raw[100]) = (alike, (1.0 - alike * alike).sqrt());
    let person = gallery.people.get_mut(&id).expect("listed");
    person.references[1] = Embedding::new(raw).expect("a direction");
    person.recent = recent;
    Judge::new(Policy::Refused, &gallery, Thresholds::built_in().expect("manifest"))
}

/// After how many views at this cosine a track is cleared.
fn views_to_clear(judge: &Judge, cosine: f32, width: f32, strength: f32) -> Option<usize> {
    let mut evidence = Evidence::default();
    (1..=40).find(|_| {
        let view = View { strength, ..view(width, face(cosine, 0.0, 0)) };
        evidence.add(&view, judge);
        matches!(evidence.state(judge), State::Cleared(_))
    })
}

#[test]
fn unlike_references_ask_for_more_distance() {
    for (alike, clears) in [(0.9, true), (0.6, true), (0.3, false)] {
        let judge = spread(alike, 2);
        assert_eq!(views_to_clear(&judge, 0.27, 80.0, 12.0).is_some(), clears, "{alike}");
        assert_eq!(views_to_clear(&judge, 0.20, 80.0, 12.0), Some(3), "{alike}");
    }
}

#[test]
fn one_recent_photo_takes_twice_the_views() {
    assert_eq!(views_to_clear(&spread(0.9, 1), 0.1, 80.0, 12.0), Some(6));
    assert_eq!(views_to_clear(&spread(0.9, 0), 0.1, 80.0, 12.0), Some(6));
}

#[test]
fn small_and_soft_views_count_less() {
    let judge = spread(0.9, 2);
    assert_eq!(views_to_clear(&judge, 0.1, 33.0, 12.0), Some(5));
    assert_eq!(views_to_clear(&judge, 0.1, 80.0, 8.9), Some(5));
    assert_eq!(views_to_clear(&judge, 0.1, 80.0, f32::NAN), None);
}

#[test]
fn a_soft_face_is_shown_for_whom_it_is_like_and_never_for_being_unlike() {
    for policy in [Policy::Refused, Policy::UnlessCleared] {
        let judge = judge(policy);
        let (mut friend, mut stranger) = (Evidence::default(), Evidence::default());
        for i in 0..20 {
            let soft = |face| View { strength: 8.0, oblique: true, ..view(80.0, face) };
            friend.add(&soft(face(0.1, 0.6, i)), &judge);
            stranger.add(&soft(face(0.1, 0.1, i)), &judge);
        }
        let shown = matches!(friend.state(&judge), State::Cleared(Reason::Matched { .. }));
        assert!(shown, "{policy}");
        assert_eq!(stranger.state(&judge), State::Undecided);
    }
}

#[test]
fn only_a_cleared_face_goes_on_and_only_with_a_view_like_its_own() {
    let judge = judge(Policy::Refused);
    let mut evidence = Evidence::default();
    let same = view(80.0, face(0.1, 0.0, 0));
    assert!(!evidence.goes_on_with(&same, &judge));
    for _ in 0..3 {
        assert!(!evidence.goes_on_with(&same, &judge));
        evidence.add(&same, &judge);
    }
    assert!(evidence.goes_on_with(&same, &judge));
    let soft = View { strength: 8.0, ..same.clone() };
    let small = View { width_px: 30.0, ..same.clone() };
    let near = view(80.0, face(0.35, 0.0, 1));
    let other = view(80.0, face(0.1, 0.0, 1));
    for view in [soft, small, near, other] {
        assert!(!evidence.goes_on_with(&view, &judge), "{view:?}");
    }
    evidence.add(&view(80.0, face(0.5, 0.0, 0)), &judge);
    assert!(!evidence.goes_on_with(&same, &judge), "refused");
}

#[test]
fn views_that_are_each_a_little_like_a_person_show_together_who_it_is() {
    for policy in [Policy::Refused, Policy::UnlessCleared] {
        let judge = judge(policy);
        // Noise of its own in every view, so that their mean is nearer than any of them.
        let shown = |refused: f32, consented: f32| {
            let mut evidence = Evidence::default();
            for i in 0..20 {
                let soft = View { strength: 8.0, ..view(80.0, face(refused, consented, i)) };
                evidence.add(&soft, &judge);
            }
            matches!(evidence.state(&judge), State::Cleared(Reason::Matched { .. }))
        };
        assert!(shown(0.1, 0.47), "{policy}");
        // Like nobody, and nearly as much like a refused person as like the consenting one.
        assert!(!shown(0.1, 0.38) && !shown(0.38, 0.42), "{policy}");
    }
}

#[test]
fn whoever_takes_the_place_of_a_cleared_face_leaves_its_past_alone() {
    let judge = judge(Policy::Refused);
    let mut cleared = Evidence::default();
    for _ in 0..4 {
        cleared.add(&view(80.0, face(0.25, 0.0, 0)), &judge);
    }
    assert!(matches!(cleared.state(&judge), State::Cleared(_)));
    let turned = |refused| View { oblique: true, ..view(80.0, face(refused, 0.0, 1)) };
    let strong = turned(0.8);
    assert!(!cleared.drifts(&strong) && cleared.is_passed(&strong, &judge));
    assert!(!cleared.is_passed(&turned(0.3), &judge), "no strong match");
    let own = view(80.0, face(0.6, 0.0, 0));
    assert!(!cleared.is_passed(&own, &judge), "like the views before it");
    let mut refused = Evidence::default();
    (0..3).for_each(|_| refused.add(&view(80.0, face(0.95, 0.0, 1)), &judge));
    assert!(cleared.is_unlike(&refused, &judge) && !refused.is_unlike(&cleared, &judge));
    // Once a view came near to a refused person, it may have been that person all the time.
    cleared.add(&view(80.0, face(0.32, 0.0, 0)), &judge);
    assert!(!cleared.is_passed(&strong, &judge) && !cleared.is_unlike(&refused, &judge));
}

#[test]
fn one_view_between_two_people_is_of_the_one_seen_before() {
    let judge = judge(Policy::Refused);
    let between = view(80.0, face(0.42, 0.52, 0));
    let mut fresh = Evidence::default();
    fresh.add(&between, &judge);
    assert!(matches!(fresh.state(&judge), State::Refused { .. }));
    let mut known = Evidence::default();
    for i in 0..4 {
        known.add(&view(80.0, face(0.1, 0.7, i)), &judge);
    }
    known.add(&between, &judge);
    assert!(matches!(known.state(&judge), State::Cleared(_)));
    // A sibling's view is between them too, and unlike the views before it.
    let mut other = known.clone();
    other.add(&view(80.0, face(0.46, 0.52, 9)), &judge);
    assert!(matches!(other.state(&judge), State::Refused { .. }));
    known.add(&view(80.0, face(0.42, 0.43, 0)), &judge);
    assert!(matches!(known.state(&judge), State::Refused { .. }));
}

#[test]
fn under_another_list_only_a_refusal_stays() {
    let before = judge(Policy::Refused);
    let (mut cleared, mut refused) = (Evidence::default(), Evidence::default());
    for i in 0..6 {
        cleared.add(&view(80.0, face(0.1, 0.0, i)), &before);
    }
    refused.add(&view(80.0, face(0.9, 0.0, 0)), &before);
    assert!(matches!(cleared.state(&before), State::Cleared(_)));
    let again = judge(Policy::Refused);
    assert_eq!(cleared.under(&again).state(&again), State::Undecided);
    assert!(matches!(refused.under(&again).state(&again), State::Refused { .. }));
    // Whoever is on no list any more is still compared twice as often before anybody sees them.
    let mut others = gallery(2);
    others.people.values_mut().for_each(|p| p.standing = Standing::Consented);
    let id = "p-9".parse().expect("a pseudonym");
    let mut raw = [0.0; Embedding::LEN];
    raw[60] = 1.0;
    let references = vec![Embedding::new(raw).expect("a direction"); 2];
    others.people.insert(id, Person { standing: Standing::Refused, references, recent: 2 });
    let thresholds = Thresholds::built_in().expect("manifest");
    let other = Judge::new(Policy::Refused, &others, thresholds);
    let after = refused.under(&other);
    assert_eq!(after.state(&other), State::Undecided);
    assert!(after.was_refused());
}

#[test]
fn a_refused_pupil_without_photo_steps_the_policy_up() {
    let judge = Judge::new(Policy::Refused, &gallery(0), Thresholds::built_in().expect("ok"));
    assert_eq!(judge.policy(), Policy::UnlessCleared);
}

#[test]
fn unless_cleared_shows_only_a_match() {
    let judge = judge(Policy::UnlessCleared);
    let mut stranger = Evidence::default();
    let mut friend = Evidence::default();
    for i in 0..20 {
        stranger.add(&view(90.0, face(0.0, 0.3, i)), &judge);
        friend.add(&view(90.0, face(0.0, 0.6, i)), &judge);
    }
    assert_eq!(stranger.state(&judge), State::Undecided);
    assert!(matches!(friend.state(&judge), State::Cleared(Reason::Matched { .. })));
}

#[test]
fn whoever_is_recognised_is_shown_although_a_refused_person_looks_alike() {
    let judge = judge(Policy::Refused);
    let mut alike = Evidence::default();
    let mut near = Evidence::default();
    for i in 0..4 {
        alike.add(&view(80.0, face(0.45, 0.65, i)), &judge);
        near.add(&view(80.0, face(0.45, 0.55, i)), &judge);
    }
    assert!(matches!(alike.state(&judge), State::Cleared(Reason::Matched { .. })));
    // Where both are nearly as close, it may be either.
    assert!(matches!(near.state(&judge), State::Refused { .. }));
    // One view that nobody else explains is enough to veil.
    alike.add(&view(80.0, face(0.45, 0.2, 9)), &judge);
    assert!(matches!(alike.state(&judge), State::Refused { .. }));
}

#[test]
fn everyone_means_everyone() {
    let judge = judge(Policy::Everyone);
    let mut evidence = Evidence::default();
    for i in 0..20 {
        evidence.add(&view(90.0, face(0.0, 0.9, i)), &judge);
    }
    assert_eq!(evidence.state(&judge), State::Undecided);
}

fn any_view() -> impl Strategy<Value = View> {
    let number = (0usize..100, 10.0..200.0f32, 4.0..14.0f32);
    (-0.3..0.95f32, 0.0..0.3f32, number, any::<bool>(), any::<bool>()).prop_map(
        |(refused, friendly, (other, width_px, strength), oblique, reliable)| View {
            width_px,
            oblique,
            strength,
            reliable,
            embedding: face(refused, friendly, other),
        },
    )
}

fn after<'a>(views: impl IntoIterator<Item = &'a View>, judge: &Judge) -> State {
    let mut evidence = Evidence::default();
    views.into_iter().for_each(|view| evidence.add(view, judge));
    evidence.state(judge)
}

proptest! {
    #[test]
    fn a_strong_match_wins_in_any_order(
        views in proptest::collection::vec(any_view(), 1..30).prop_shuffle(),
        unless in any::<bool>(), alike in 0.0..1.0f32,
    ) {
        let mut judge = spread(alike, 2);
        judge.policy = if unless { Policy::UnlessCleared } else { Policy::Refused };
        let strong = |v: &View| judge.comparable(v.width_px) && judge.is_refused(&v.embedding);
        if views.iter().any(strong) {
            let refused = |state| matches!(state, State::Refused { .. });
            prop_assert!(refused(after(&views, &judge)));
            prop_assert!(refused(after(views.iter().rev(), &judge)));
        }
    }

    #[test]
    fn more_views_of_a_refused_person_never_show_anybody(
        views in proptest::collection::vec(any_view(), 0..20),
        more in proptest::collection::vec((0.3..0.95f32, any::<prop::sample::Index>()), 1..10),
        alike in 0.0..1.0f32,
    ) {
        let judge = spread(alike, 2);
        let shown = |state| matches!(state, State::Cleared(_));
        let before = after(&views, &judge);
        let mut longer = views.clone();
        for (i, (cosine, place)) in more.iter().enumerate() {
            let at = place.index(longer.len() + 1);
            longer.insert(at, view(90.0, face(*cosine, 0.0, i)));
        }
        if !shown(before.clone()) {
            prop_assert!(!shown(after(&longer, &judge)), "{before:?}");
        }
        if matches!(before, State::Refused { .. }) {
            let then = views.iter().chain(&longer[..1]);
            let kept = matches!(after(then, &judge), State::Refused { .. });
            prop_assert!(kept);
        }
    }

    #[test]
    fn a_margin_only_ever_asks_for_more(
        views in proptest::collection::vec(any_view(), 0..30), alike in 0.0..0.6f32,
    ) {
        let strict = spread(alike, 2);
        let mut plain = spread(alike, 2);
        plain.refused[0].margin = 0.0;
        prop_assert!(strict.refused[0].margin >= 0.0);
        let (with, without) = (after(&views, &strict), after(&views, &plain));
        if matches!(with, State::Cleared(_)) {
            prop_assert!(matches!(without, State::Cleared(_)));
        }
        prop_assert_eq!(
            matches!(with, State::Refused { .. }), matches!(without, State::Refused { .. })
        );
    }

    #[test]
    fn no_order_of_views_shows_a_refused_track(
        mut cosines in proptest::collection::vec(-0.2..0.38f32, 0..40),
        strong in 0.401..0.95f32, place in any::<prop::sample::Index>(),
        unless in any::<bool>(), friendly in 0.0..0.3f32, width in 20.0..300.0f32,
    ) {
        let judge = judge(if unless { Policy::UnlessCleared } else { Policy::Refused });
        let at = place.index(cosines.len() + 1);
        cosines.insert(at, strong);
        let mut evidence = Evidence::default();
        for (i, cosine) in cosines.iter().enumerate() {
            evidence.add(&view(width, face(*cosine, friendly, i % 100)), &judge);
            if i >= at {
                let refused = matches!(evidence.state(&judge), State::Refused { .. });
                prop_assert!(refused, "shown after a strong match");
            }
        }
    }
}
