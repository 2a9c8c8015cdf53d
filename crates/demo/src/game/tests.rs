//! The rules, and that what is told of them is all of them.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::client::{self, Output};
use super::scene::{COMETS, Comet, Event, HEIGHT, Mode, Place, Scene, WIDTH, tail_length};
use super::wire::{self, Input, Malformed};
use super::world::{PAUSE, ROUND, World};

/// What may happen between two ticks.
#[derive(Clone, Debug)]
enum Action {
    Join(String),
    Leave(u8),
    Steer(u8, u8, bool),
    Ticks(u8),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let number = || 0..COMETS as u8;
    let action = prop_oneof![
        2 => "[a-cé☄]{1,16}".prop_map(Action::Join),
        1 => number().prop_map(Action::Leave),
        6 => (number(), any::<u8>(), any::<bool>())
            .prop_map(|(number, aim, boost)| Action::Steer(number, aim, boost)),
        6 => (1..60u8).prop_map(Action::Ticks),
    ];
    prop::collection::vec(action, 1..80)
}

fn read_snapshot(frame: &[u8]) -> Scene {
    match client::output(frame).unwrap() {
        Output::Snapshot(scene, 40) => *scene,
        other => panic!("no snapshot: {other:?}"),
    }
}

fn read_delta(scene: &mut Scene, frame: &[u8]) -> Vec<Event> {
    match client::output(frame).unwrap() {
        Output::Delta { tick, changes } => client::apply(scene, tick, changes).unwrap(),
        other => panic!("no changes: {other:?}"),
    }
}

/// A tick, told to a client.
fn told_tick(world: &mut World, told: &mut Scene, client: &mut Scene) -> usize {
    let events = world.step();
    let frame = wire::delta(told, world.scene(), &events);
    assert_eq!(read_delta(client, &frame), events);
    told.clone_from(world.scene());
    frame.len()
}

fn is_legal(scene: &Scene) {
    assert!(scene.comets.len() <= COMETS && scene.sparks.len() <= 200);
    for comet in scene.comets.values() {
        assert!(comet.tail.len() <= tail_length(comet.score));
        assert!(comet.mode != Mode::Out || comet.tail.is_empty());
        for point in comet.tail.iter().chain([&comet.head]) {
            assert!(point.x <= WIDTH && point.y <= HEIGHT);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whoever_comes_when_has_the_servers_state_after_every_tick(
        seed: u64,
        actions in actions(),
        comes in 0..400u32,
    ) {
        let mut world = World::new(seed);
        let mut told = world.scene().clone();
        let mut first = read_snapshot(&wire::snapshot(&told, 40));
        let mut later: Option<Scene> = None;
        for action in actions {
            match action {
                Action::Join(name) => drop(world.join(&name)),
                Action::Leave(number) => world.leave(number),
                Action::Steer(number, aim, boost) => world.steer(number, aim, boost),
                Action::Ticks(ticks) => for _ in 0..ticks {
                    // What is between two ticks is not told before the second.
                    if told.tick >= comes && later.is_none() {
                        later = Some(read_snapshot(&wire::snapshot(&told, 40)));
                    }
                    let before = told.clone();
                    told_tick(&mut world, &mut told, &mut first);
                    if let Some(later) = &mut later {
                        told_tick_again(&before, &told, later);
                        prop_assert_eq!(&*later, &told);
                    }
                    prop_assert_eq!(&first, &told);
                    is_legal(&told);
                },
            }
        }
    }

    #[test]
    fn hostile_bytes_are_no_input_or_one_that_reads_the_same_again(
        bytes in prop::collection::vec(any::<u8>(), 0..90),
        kind in 0..5u8,
    ) {
        let frame = [&[kind][..], &bytes].concat();
        for frame in [&bytes, &frame] {
            if let Ok(input) = wire::input(frame) {
                prop_assert_eq!(wire::input(&client::write_input(&input)), Ok(input));
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_refused_and_breaks_nothing(
        seed: u64,
        ticks in 1..200u32,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(seed);
        world.join("ada");
        (1..ticks).for_each(|_| drop(world.step()));
        let before = world.scene().clone();
        let events = world.step();
        let frames = [wire::snapshot(&before, 40), wire::delta(&before, world.scene(), &events)];
        for frame in frames {
            let mut flipped = frame.to_vec();
            flipped[flip.index(frame.len())] ^= 1 << (seed % 8);
            for hostile in [&bytes[..], &frame[..cut.index(frame.len())], &flipped] {
                if let Ok(Output::Delta { tick, changes }) = client::output(hostile) {
                    let mut scene = before.clone();
                    let _ = client::apply(&mut scene, tick, changes);
                }
            }
            let half = &frame[..cut.index(frame.len())];
            match client::output(half) {
                Ok(Output::Delta { tick, changes }) => {
                    prop_assert_eq!(client::apply(&mut before.clone(), tick, changes), Err(Malformed));
                }
                other => prop_assert_eq!(other, Err(Malformed)),
            }
        }
    }
}

/// The same tick for another client.
fn told_tick_again(before: &Scene, after: &Scene, client: &mut Scene) {
    read_delta(client, &wire::delta(before, after, &[]));
}

#[test]
fn inputs_are_read_whole_or_not_at_all() {
    let play = |name: &str| wire::input(&[&[1], name.as_bytes()].concat());
    assert_eq!(play(" Ada "), Ok(Input::Play("Ada".to_owned())));
    assert_eq!(play("☄☄☄☄☄☄☄☄☄☄☄☄☄☄☄☄").map(drop), Ok(()));
    let hidden = [
        "",
        "   ",
        "a\u{202e}b",
        "a\nb",
        "a\u{200b}",
        "seventeen letters",
    ];
    for name in hidden {
        assert_eq!(play(name), Err(Malformed), "{name:?}");
    }
    assert_eq!(wire::input(&[1, 0xff, 0xfe]), Err(Malformed));
    let steer = Input::Steer {
        aim: 64,
        boost: true,
    };
    assert_eq!(wire::input(&[2, 64, 1]), Ok(steer));
    assert_eq!(wire::input(&[3, 1, 0, 0, 0]), Ok(Input::Ping(1)));
    for frame in [
        &[][..],
        &[0],
        &[2, 64],
        &[2, 64, 2],
        &[2, 64, 1, 0],
        &[3, 1],
        &[6],
    ] {
        assert_eq!(wire::input(frame), Err(Malformed), "{frame:?}");
    }
}

#[test]
fn a_tick_of_a_full_arena_is_a_few_bytes_for_each_comet() {
    let mut world = World::new(7);
    let players: Vec<_> = (0..COMETS)
        .filter_map(|n| world.join(&format!("p{n}")))
        .collect();
    assert_eq!(players.len(), COMETS);
    let mut told = world.scene().clone();
    let mut client = read_snapshot(&wire::snapshot(&told, 40));
    let (mut bytes, ticks) = (0, 500);
    for tick in 0..ticks {
        for (player, turn) in players.iter().zip(1u32..) {
            world.steer(*player, (tick * turn / 4) as u8, false);
        }
        bytes += told_tick(&mut world, &mut told, &mut client);
    }
    let each = bytes / ticks as usize / COMETS;
    assert!(each <= 6, "{each} bytes for each comet and tick");
}

#[test]
fn the_same_seed_and_the_same_calls_make_the_same_game() {
    let play = |seed| {
        let mut world = World::new(seed);
        let ada = world.join("ada").unwrap();
        for tick in 0..600u32 {
            world.steer(ada, (tick / 3) as u8, tick % 50 < 10);
            world.step();
        }
        world.scene().clone()
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1), play(2));
}

#[test]
fn bots_keep_one_person_company_and_go_when_a_second_comes() {
    let mut world = World::new(3);
    let bots = |world: &mut World| {
        (0..5).for_each(|_| drop(world.step()));
        world
            .scene()
            .comets
            .values()
            .filter(|comet| comet.bot)
            .count()
    };
    assert_eq!(bots(&mut world), 3);
    let ada = world.join("ada").unwrap();
    assert_eq!(bots(&mut world), 3);
    world.join("bob").unwrap();
    assert_eq!(bots(&mut world), 0);
    world.leave(ada);
    assert_eq!(bots(&mut world), 3);
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_nobody_more_than_there_is_room_comes_in() {
    let mut world = World::new(3);
    let names = |world: &World| -> Vec<String> {
        world
            .scene()
            .comets
            .values()
            .map(|comet| comet.name.clone())
            .collect()
    };
    for _ in 0..3 {
        world.join("sixteen letters!").unwrap();
    }
    assert_eq!(
        names(&world),
        ["sixteen letters!", "sixteen lette 2", "sixteen lette 3"]
    );
    let all: Vec<_> = (0..COMETS).map_while(|_| world.join("a")).collect();
    assert_eq!(all.len(), COMETS - 3);
    assert_eq!(world.join("late"), None);
    world.leave(all[0]);
    assert_eq!(world.join("late"), Some(all[0]));
}

/// Two people on a field, far from each other, shields gone.
fn two() -> (World, u8, u8) {
    let mut world = World::new(11);
    let ada = world.join("ada").unwrap();
    let bob = world.join("bob").unwrap();
    (0..60).for_each(|_| drop(world.step()));
    let modes: Vec<_> = world
        .scene()
        .comets
        .values()
        .map(|comet| comet.mode)
        .collect();
    assert_eq!(modes, [Mode::Flying, Mode::Flying]);
    (world, ada, bob)
}

fn comet(world: &World, number: u8) -> Comet {
    world.scene().comets[&number].clone()
}

/// Puts one right in front of the other's tail; the ticks' events until it has crashed.
fn crash(world: &mut World, who: u8, into: u8) -> Vec<Event> {
    let point = comet(world, into).tail[6];
    world.put_for_tests(who, point);
    world.step()
}

#[test]
fn who_touches_a_tail_spills_half_and_pays_the_other() {
    let (mut world, ada, bob) = two();
    world.give_for_tests(ada, 41);
    let (before, other) = (comet(&world, ada).score, comet(&world, bob).score);
    let sparks = |world: &World| -> u16 {
        world
            .scene()
            .sparks
            .values()
            .map(|spark| u16::from(spark.worth))
            .sum()
    };
    let lying = sparks(&world);
    let events = crash(&mut world, ada, bob);
    assert!(events.contains(&Event::Crash(ada, bob)), "{events:?}");
    let gathered = |who| -> u16 {
        let of = |event: &Event| match event {
            Event::Gathered(number, worth) if *number == who => u16::from(*worth),
            _ => 0,
        };
        events.iter().map(of).sum()
    };
    let had = before + gathered(ada);
    let out = comet(&world, ada);
    assert_eq!(
        (out.mode, out.score, out.tail.len()),
        (Mode::Out, had / 2, 0)
    );
    assert_eq!(comet(&world, bob).score, other + gathered(bob) + 5);
    let spilled = had.div_ceil(2);
    assert!(sparks(&world) + gathered(ada) + gathered(bob) >= lying + spilled);
    // It is back after a while, shielded at first.
    let back = (0..60).find(|_| {
        world.step();
        comet(&world, ada).mode == Mode::Shielded
    });
    assert!(back.is_some());
    crash(&mut world, ada, bob);
    assert_eq!(comet(&world, ada).mode, Mode::Shielded, "no harm yet");
}

#[test]
fn two_heads_break_both() {
    let (mut world, ada, bob) = two();
    let at = comet(&world, bob).head;
    world.put_for_tests(ada, at);
    let events = world.step();
    let both = [Event::Crash(ada, bob), Event::Crash(bob, ada)];
    assert!(
        both.iter().all(|event| events.contains(event)),
        "{events:?}"
    );
}

#[test]
fn boosting_is_faster_and_costs_sparks_as_long_as_there_are_any() {
    let (mut world, ada, _) = two();
    let middle = Place {
        x: 2000,
        y: HEIGHT / 2,
    };
    world.put_for_tests(ada, middle);
    world.give_for_tests(ada, 4);
    let far = |world: &mut World, boost| {
        world.steer(ada, 0, boost);
        let from = comet(world, ada).head;
        world.step();
        let to = comet(world, ada).head;
        f32::from(to.x.abs_diff(from.x)).hypot(f32::from(to.y.abs_diff(from.y)))
    };
    assert!(far(&mut world, true) > 1.5 * far(&mut world, false));
    // It gathers as it goes: at some time there is nothing to spend.
    while comet(&world, ada).score > 0 {
        far(&mut world, true);
    }
    far(&mut world, true);
    assert!(!comet(&world, ada).boost);
}

#[test]
fn who_carries_most_wins_the_round_and_everyone_begins_anew() {
    let (mut world, ada, bob) = two();
    while world.scene().tick + 1 < ROUND {
        world.step();
    }
    let most = comet(&world, bob).score + comet(&world, ada).score + 1;
    world.give_for_tests(ada, most);
    world.step();
    assert!(world.scene().round.pause);
    assert_eq!(world.scene().round.winner, Some(ada));
    assert_eq!((comet(&world, ada).wins, comet(&world, bob).wins), (1, 0));
    let score = comet(&world, ada).score;
    for _ in 0..PAUSE - 1 {
        assert_eq!(world.step(), [], "nothing happens in the pause");
    }
    assert_eq!(comet(&world, ada).score, score);
    world.step();
    assert!(!world.scene().round.pause && comet(&world, ada).score < 15);
    assert_eq!(comet(&world, ada).wins, 1);
}
