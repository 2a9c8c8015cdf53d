#![allow(clippy::unwrap_used)]
use super::*;
use fanwire_core::key::Key;
use std::sync::Arc;

fn rates(change: impl FnOnce(&mut Config)) -> Rates {
    let mut config = Config {
        burst: Duration::from_secs(1),
        ..OFF
    };
    change(&mut config);
    Rates::new(&config)
}

const OFF: Config = Config {
    burst: Duration::from_secs(1),
    messages_per_connection: 0,
    messages_per_user: 0,
    messages_per_ip: 0,
    messages_per_namespace: 0,
    bytes_per_connection: 0,
    bytes_per_user: 0,
    bytes_per_ip: 0,
    bytes_per_namespace: 0,
    connects_per_user: 0,
    connects_per_ip: 0,
    subscribes_per_connection: 0,
    subscribes_per_user: 0,
    subscribes_per_ip: 0,
    subscribes_per_namespace: 0,
};

const AT: Duration = Duration::from_secs(100);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nobody(rates: &Rates, text: &str) -> Account {
    let address = address(text);
    rates.account(&Subject::Anonymous(address), address, false)
}

fn publish(rates: &Rates, buckets: &Buckets, account: Account) -> Result<(), Refusal> {
    let payer = Payer { buckets, account };
    rates.publishes(payer, &Namespace::root(), 10, AT)
}

#[test]
fn r2_r5_an_ipv6_network_is_one_address_and_others_are_unaffected() {
    let rates = rates(|config| config.messages_per_ip = 2);
    let buckets = Buckets::default();
    let ask = |text: &str| publish(&rates, &buckets, nobody(&rates, text)).is_ok();
    assert!(ask("2a00:0:0:1::1"));
    assert!(ask("2a00:0:0:1::2"));
    assert!(!ask("2a00:0:0:1::3"));
    assert!(ask("2a00:0:0:2::1"));
    assert!(ask("203.0.113.1") && ask("::ffff:203.0.113.1"));
    assert!(!ask("203.0.113.1"));
}

#[test]
fn loopback_and_the_addresses_of_backends_are_exempt_but_not_the_key_itself() {
    let rates = rates(|config| {
        config.messages_per_ip = 1;
        config.messages_per_user = 3;
    });
    let buckets = Buckets::default();
    for _ in 0..10 {
        publish(&rates, &buckets, nobody(&rates, "127.0.0.1")).unwrap();
        publish(&rates, &buckets, nobody(&rates, "::1")).unwrap();
    }
    let key = Subject::Key(Arc::from("ops"));
    let here = address("203.0.113.1");
    for _ in 0..3 {
        publish(&rates, &buckets, rates.account(&key, here, false)).unwrap();
    }
    // Wherever it is used from.
    let there = rates.account(&key, address("127.0.0.1"), false);
    let refusal = publish(&rates, &buckets, there).unwrap_err();
    assert_eq!(refusal.code, Code::RateLimited);
    assert!(refusal.detail.contains("of this user"), "{refusal}");
    publish(&rates, &buckets, nobody(&rates, "203.0.113.1")).unwrap();
}

#[test]
fn what_one_limit_refuses_takes_nothing_of_the_others() {
    let rates = rates(|config| {
        config.messages_per_connection = 2;
        config.messages_per_namespace = 1;
    });
    let (one, two) = (Buckets::default(), Buckets::default());
    let account = nobody(&rates, "203.0.113.1");
    publish(&rates, &one, account).unwrap();
    for _ in 0..5 {
        let refusal = publish(&rates, &two, account).unwrap_err();
        assert!(refusal.detail.contains("in this namespace"), "{refusal}");
    }
    assert_eq!(two.due[What::Messages as usize].load(Relaxed), nanos(AT));
}

#[test]
fn r5_bytes_are_counted_too_and_a_refusal_says_when_to_come_back() {
    let rates = rates(|config| config.bytes_per_connection = 100);
    let buckets = Buckets::default();
    let account = nobody(&rates, "127.0.0.1");
    for _ in 0..10 {
        publish(&rates, &buckets, account).unwrap();
    }
    let refusal = publish(&rates, &buckets, account).unwrap_err();
    assert_eq!(refusal.retry_in, Some(Duration::from_nanos(1)));
    assert!(refusal.detail.contains("bytes on this connection"));
}

#[test]
fn r7_other_limits_count_at_once_for_live_connections_too() {
    let rates = rates(|_| {});
    let buckets = Buckets::default();
    let account = nobody(&rates, "203.0.113.1");
    for _ in 0..10 {
        publish(&rates, &buckets, account).unwrap();
    }
    let set = |number| {
        rates.set(&Config {
            messages_per_connection: number,
            ..OFF
        });
    };
    set(1);
    publish(&rates, &buckets, account).unwrap();
    publish(&rates, &buckets, account).unwrap_err();
    set(0);
    publish(&rates, &buckets, account).unwrap();
    set(1);
    publish(&rates, &buckets, account).unwrap_err();
}

#[test]
fn the_first_stream_of_a_connection_was_paid_with_it_and_a_proxys_never() {
    let rates = rates(|config| config.connects_per_ip = 2);
    let keys: Keys = [Key::parse(b"a").unwrap()].into_iter().collect();
    let here = address("203.0.113.1");
    let open = |buckets: &Buckets, proxied| {
        let account = rates.account(&Subject::Anonymous(here), here, proxied);
        rates.listens(Payer { buckets, account }, &keys, true, AT)
    };
    rates.connects(here, AT).unwrap();
    let connection = Buckets::default();
    open(&connection, false).unwrap();
    open(&connection, false).unwrap();
    open(&connection, false).unwrap_err();
    assert!(rates.connects(here, AT).is_err());
    open(&Buckets::default(), true).unwrap_err();
    open(&Buckets::default(), false).unwrap();
}

#[test]
fn a_lists_channels_are_paid_at_once_and_a_refused_list_takes_nothing() {
    let rates = rates(|config| {
        config.subscribes_per_connection = 10;
        config.subscribes_per_namespace = 2;
    });
    let buckets = Buckets::default();
    let account = nobody(&rates, "203.0.113.1");
    let listen = |names: &[&str]| {
        let keys = names.iter().map(|name| Key::parse(name.as_bytes()));
        let keys: Keys = keys.map(Result::unwrap).collect();
        let payer = Payer {
            buckets: &buckets,
            account,
        };
        rates.listens(payer, &keys, false, AT)
    };
    // More than there ever is passes when all of it is there.
    listen(&["b:a", "b:b", "b:c"]).unwrap();
    let due = || buckets.due[What::Subscribes as usize].load(Relaxed);
    let before = due();
    listen(&["a", "c:a", "b:d"]).unwrap_err();
    assert_eq!(due(), before);
    listen(&["a", "c:a"]).unwrap();
    listen(&["a", "c:a"]).unwrap();
    listen(&["a"]).unwrap_err();
}
