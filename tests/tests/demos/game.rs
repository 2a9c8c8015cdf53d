//! The game, played over raw WebSockets.

use std::net::SocketAddr;
use std::time::Duration;

use fanwire_demo::game::client::{self, Output};
use fanwire_demo::game::scene::Scene;
use fanwire_demo::game::wire::Input;
use fanwire_tests::http;
use fanwire_tests::said::Said;
use fanwire_tests::wait::{until, within};
use fanwire_tests::ws::Ws;
use tokio::runtime::Handle;

use crate::demos::{Demos, NEVER, SOON};

const ARENA: &str = "/c/game:arena";

/// A client, as its page is one.
struct Player {
    ws: Ws,
    /// As it has been told.
    scene: Scene,
    you: Option<u8>,
    /// What else it heard, the newest last.
    heard: Vec<u8>,
}

impl Player {
    /// Comes, and reads until it has all that there is. What comes before that is older, or
    /// is kept as it has to be.
    async fn come(to: SocketAddr) -> Self {
        let mut ws = Ws::open(to, ARENA, &[]).await;
        let mut early = Vec::new();
        let scene = loop {
            let frame = frame(&mut ws).await;
            match client::output(&frame).unwrap() {
                Output::Snapshot(scene, _) => break *scene,
                _ => early.push(frame),
            }
        };
        let (you, heard) = (None, Vec::new());
        let mut player = Self {
            ws,
            scene,
            you,
            heard,
        };
        early.iter().for_each(|frame| player.take(frame));
        player
    }

    async fn plays(to: SocketAddr, name: &str) -> Self {
        let mut player = Self::come(to).await;
        player.say(&Input::Play(name.to_owned())).await;
        player.hears(|player| player.you.is_some()).await;
        player
    }

    async fn say(&mut self, input: &Input) {
        self.ws.binary(&client::write_input(input)).await;
    }

    /// Hears until this holds. The game goes on whether it ever does or not.
    async fn hears(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let hearing = Box::pin(async {
            while !done(self) {
                self.hear().await;
            }
        });
        within("what is to be seen", hearing).await;
    }

    async fn hear(&mut self) {
        let frame = frame(&mut self.ws).await;
        self.take(&frame);
    }

    async fn reaches(&mut self, tick: u32) {
        self.hears(|player| player.scene.tick >= tick).await;
    }

    fn take(&mut self, frame: &[u8]) {
        match client::output(frame).unwrap() {
            Output::Snapshot(..) => panic!("two beginnings"),
            Output::Delta { tick, changes } if tick > self.scene.tick => {
                client::apply(&mut self.scene, tick, changes).unwrap();
            }
            Output::Delta { .. } => {}
            Output::You(number) => self.you = Some(number),
            Output::Pong(_) | Output::Full => self.heard.push(frame[0]),
        }
    }

    fn sees(&self, name: &str) -> bool {
        self.scene.comets.values().any(|comet| comet.name == name)
    }
}

async fn frame(ws: &mut Ws) -> Vec<u8> {
    match within("a frame", ws.next()).await {
        Said::Heard(heard) => heard.data,
        other => panic!("no frame: {other:?}"),
    }
}

async fn demos() -> Demos {
    Demos::start(|timings| timings.pace = SOON).await
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn two_players_have_the_same_arena_after_every_tick() {
    let demos = demos().await;
    let mut ada = Player::plays(demos.addr, "Ada").await;
    let mut bob = Player::plays(demos.addr, "Bob").await;
    assert_ne!(ada.you, bob.you);
    for player in [&mut ada, &mut bob] {
        player
            .hears(|player| player.sees("Ada") && player.sees("Bob"))
            .await;
    }
    for turn in 0..20u8 {
        let (aim, boost) = (turn.wrapping_mul(40), turn % 2 == 0);
        ada.say(&Input::Steer { aim, boost }).await;
        let tick = ada.scene.tick.max(bob.scene.tick) + 3;
        ada.reaches(tick).await;
        bob.reaches(tick).await;
        bob.reaches(ada.scene.tick).await;
        ada.reaches(bob.scene.tick).await;
        assert_eq!(ada.scene, bob.scene);
    }
    // Who comes now is told of the tails too.
    let mut late = Player::come(demos.addr).await;
    let tick = late.scene.tick.max(ada.scene.tick) + 1;
    for player in [&mut late, &mut ada] {
        player.reaches(tick).await;
    }
    late.reaches(ada.scene.tick).await;
    ada.reaches(late.scene.tick).await;
    assert_eq!(late.scene, ada.scene);
    drop((ada, bob, late));
    demos.deserted().await;
    demos.stop().await;
}

#[tokio::test]
async fn where_a_player_steers_is_seen_by_the_others() {
    let demos = demos().await;
    let mut ada = Player::plays(demos.addr, "Ada").await;
    let mut bob = Player::plays(demos.addr, "Bob").await;
    let number = ada.you.unwrap();
    let straight_left = |player: &Player| {
        let Some(comet) = player.scene.comets.get(&number) else {
            return false;
        };
        let before = comet.tail.front().copied().unwrap_or(comet.head);
        comet.head.x + 50 < before.x && comet.head.y == before.y
    };
    // Said again and again, as by a page: a comet that appears, and one that the edge
    // turns round, forget whereto.
    let left = Input::Steer {
        aim: 128,
        boost: false,
    };
    let steering = Box::pin(async {
        while !straight_left(&bob) {
            if bob.scene.tick.is_multiple_of(4) {
                ada.say(&left).await;
            }
            bob.hear().await;
        }
    });
    within("ada to fly to the left", steering).await;
    demos.stop().await;
}

#[tokio::test]
async fn who_goes_is_gone_for_the_others_and_nothing_is_left_behind() {
    let demos = demos().await;
    let asleep = alive();
    let mut ada = Player::plays(demos.addr, "Ada").await;
    let bob = Player::plays(demos.addr, "Bob").await;
    ada.hears(|player| player.sees("Bob")).await;
    drop(bob);
    ada.hears(|player| !player.sees("Bob")).await;
    // Bots are company again.
    ada.hears(|player| {
        player
            .scene
            .comets
            .values()
            .filter(|comet| comet.bot)
            .count()
            == 3
    })
    .await;
    drop(ada);
    demos.deserted().await;
    until("the game to sleep", || (alive() <= asleep).then_some(())).await;
    let applied = demos.running.hub().applied();
    let mut again = Player::come(demos.addr).await;
    assert!(!again.sees("Ada") && !again.sees("Bob"));
    again.reaches(again.scene.tick + 2).await;
    assert!(demos.running.hub().applied() > applied);
    demos.stop().await;
}

#[tokio::test]
async fn who_says_nothing_for_long_watches_until_it_plays_again() {
    let demos = Demos::start(|timings| timings.pace = Duration::from_millis(1)).await;
    let mut ada = Player::plays(demos.addr, "Ada").await;
    ada.hears(|player| player.sees("Ada")).await;
    ada.hears(|player| !player.sees("Ada")).await;
    // Somebody else may have its number by now.
    let mut bob = Player::plays(demos.addr, "Bob").await;
    ada.say(&Input::Steer {
        aim: 128,
        boost: false,
    })
    .await;
    ada.you = None;
    ada.say(&Input::Play("Ada".to_owned())).await;
    ada.hears(|player| player.you.is_some()).await;
    bob.hears(|player| player.sees("Ada")).await;
    assert_ne!(ada.you, bob.you);
    demos.stop().await;
}

#[tokio::test]
async fn how_far_it_is_is_answered_once_a_tick() {
    let demos = Demos::start(|timings| timings.pace = NEVER).await;
    let mut ada = Player::come(demos.addr).await;
    // The first tick is at once, the second never.
    ada.reaches(1).await;
    for number in 1..=3 {
        ada.say(&Input::Ping(number)).await;
    }
    ada.say(&Input::Play("Ada".to_owned())).await;
    ada.hears(|player| player.you.is_some()).await;
    assert_eq!(ada.heard, [4]);
    demos.stop().await;
}

#[tokio::test]
async fn what_is_no_frame_closes_the_one_who_sent_it_and_harms_nobody() {
    let demos = demos().await;
    let mut ada = Player::plays(demos.addr, "Ada").await;
    let hostile: [&[u8]; 6] = [
        b"",
        b"\x02",
        b"\x02\x00\x02",
        b"\x01\xff",
        b"\x09",
        &[2; 70],
    ];
    for bytes in hostile {
        let mut eve = Player::come(demos.addr).await;
        eve.ws.binary(bytes).await;
        let end = loop {
            match within("the end", eve.ws.next()).await {
                Said::Heard(_) => {}
                end => break end,
            }
        };
        assert!(
            matches!(end, Said::Closed(3..=4999, _)),
            "{bytes:?}: {end:?}"
        );
    }
    let tick = ada.scene.tick;
    ada.reaches(tick + 3).await;
    demos.stop().await;
}

#[tokio::test]
async fn nobody_but_the_server_speaks_to_the_arena() {
    let demos = demos().await;
    let mut ada = Player::plays(demos.addr, "Ada").await;
    let binary = [("Content-Type", "application/octet-stream")];
    for event in ["", "?event=other"] {
        // The beginning of a tick that would change everything.
        let target = format!("{ARENA}{event}");
        let answer = http::post(demos.addr, &target, &binary, &[2, 0, 0, 0, 9, 0]).await;
        assert_ne!(answer.status, 200, "{event}: {}", answer.text());
    }
    let tick = ada.scene.tick;
    // What is not the server's would be no tick, or the wrong one.
    ada.reaches(tick + 5).await;
    demos.stop().await;
}
