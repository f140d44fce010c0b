//! Resources that share their source use one token, one rate and one pool of connections, and each commits by itself.
//!
//! `Job::key` is in every token that the source gives out: it must be nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::{TWO, children, codes, expected, is_gone, lines, sorted};
use crate::server::{Latch, Reply, Request};
use crate::world::{Job, Printed};

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];
const OAUTH2: &str = "\
[auth]
source_token_url = \"{server}/token\"
source_client_id = \"tidegate\"
source_client_secret_env = \"CLIENT_SECRET\"
";
const LINK: &str = "source_pagination = \"link\"\n";

/// A job file `shop.toml` with these resources, each of which fetches the path of its name.
fn shop(resources: &[&str], source: &str, tables: &str) -> Job {
    let shop = Job::new()
        .unset("SOURCE_API_URL")
        .unset("SOURCE_API_KEY")
        .unset("OUTPUT_DIR")
        .set("CLIENT_SECRET", "me:s3cret-of-the-client");
    file(&shop, "shop.toml", resources, source, tables);
    shop
}

fn file(shop: &Job, name: &str, resources: &[&str], source: &str, tables: &str) {
    let out = shop.beside("out").join(name.trim_end_matches("shop.toml"));
    let mut text = format!(
        "[source]\n{source}\n{tables}\n[output]\noutput_dir = {:?}\n",
        out.display().to_string()
    );
    for resource in resources {
        let url = format!("source_api_url = \"{{server}}/{resource}\"");
        text.extend(["[resources.", resource, "]\n", &url, "\n"]);
    }
    let path = shop.beside(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    shop.file(name, &text);
}

/// A source that gives out tokens with a number, and answers everything else with what this returns.
fn with_tokens(shop: Job, items: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Job {
    let (key, given) = (shop.key.clone(), AtomicUsize::new(0));
    shop.api(move |request| {
        if request.path() == "/token" {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!("{number}-{key}");
            let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600});
            return Reply::new(200, body.to_string());
        }
        let number = number_of(request);
        number.map_or_else(|| Reply::new(401, "{}"), |number| items(request, number))
    })
}

/// The number of the token that came with this request.
fn number_of(request: &Request) -> Option<usize> {
    let token = request.header("authorization")?.strip_prefix("Bearer ")?;
    token.split_once('-')?.0.parse().ok()
}

/// How often a token was asked for.
fn logins(shop: &Job) -> usize {
    let seen = shop.server.seen();
    let logins = seen.iter().filter(|request| request.path() == "/token");
    logins.count()
}

fn published(shop: &Job, resource: &str) -> Option<String> {
    let file = shop.beside("out").join(resource).join("latest.json");
    std::fs::read_to_string(file).ok()
}

fn all_well(printed: &Printed, resources: &[&str]) {
    printed.exits(0);
    let labels: Vec<String> = resources.iter().map(|one| format!("shop_{one}")).collect();
    let wanted: Vec<(&str, u64)> = labels.iter().map(|label| (label.as_str(), 0)).collect();
    assert_eq!(sorted(codes(printed)), expected(&wanted));
}

/// Whether any file below has this in it.
fn is_below(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_symlink() {
            return false;
        }
        if path.is_dir() {
            return is_below(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

/// The second page of what was asked for, if this is the first.
fn two_pages(request: &Request) -> Reply {
    let reply = Reply::new(200, r#"[{"id":1}]"#);
    match request.query("page") {
        None => reply.next(&format!("{{server}}{}?page=2", request.path())),
        Some(_) => Reply::new(200, r#"[{"id":2}]"#),
    }
}

#[test]
fn five_resources_use_one_token_and_none_of_them_sees_it() {
    let shop = shop(&FIVE, "source_auth = \"oauth2\"", OAUTH2);
    let shop = with_tokens(shop, |request, _| {
        let token = request.header("authorization").unwrap_or_default();
        Reply::new(200, json!([{"id": 1, "you": token}]).to_string()).header("x-you", token)
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "2"]);

    all_well(&printed, &FIVE);
    assert_eq!(logins(&shop), 1);
    for resource in FIVE {
        assert_eq!(
            published(&shop, resource).as_deref(),
            Some("[\n{\"id\":1,\"you\":\"Bearer REDACTED\"}\n]\n")
        );
    }
    assert_eq!(lines(&printed, "access token fetched").len(), 1);
    assert!(!is_below(&shop.beside("out"), &shop.key));
    assert!(!is_below(&shop.beside("out"), "s3cret-of-the-client"));
}

#[test]
fn a_token_that_is_refused_meanwhile_is_renewed_once_for_all() {
    let shop = shop(&FIVE, &format!("source_auth = \"oauth2\"\n{LINK}"), OAUTH2);
    let (arrived, revoked) = (Arc::new(AtomicUsize::new(0)), Latch::default());
    let shop = with_tokens(shop, move |request, number| {
        if request.query("page").is_none() {
            // Until all have begun with the first one.
            if arrived.fetch_add(1, Ordering::SeqCst) + 1 == FIVE.len() {
                revoked.open();
            }
            revoked.pass();
        } else if number == 1 {
            return Reply::new(401, "{}");
        }
        two_pages(request)
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "5"]);

    all_well(&printed, &FIVE);
    assert_eq!(logins(&shop), 2);
    let numbers = shop.server.seen();
    let numbers: BTreeSet<usize> = numbers.iter().filter_map(number_of).collect();
    assert_eq!(numbers, [1, 2].into());
}

#[test]
fn a_resource_that_no_token_helps_leaves_the_others_theirs() {
    let shop = shop(
        &["a", "b"],
        &format!("source_auth = \"oauth2\"\n{LINK}"),
        OAUTH2,
    );
    // The first one is refused whatever it shows; the second one's token is void at its second page.
    let shop = with_tokens(shop, |request, number| {
        let is_void = request.query("page").is_some() && number <= 2;
        if request.path() == "/a" || is_void {
            return Reply::new(401, "{}");
        }
        two_pages(request)
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "1"]);

    printed.exits(77);
    let wanted = expected(&[("shop_a", 77), ("shop_b", 0)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    assert_eq!(logins(&shop), 3);
}

#[test]
fn a_refresh_token_is_rotated_once_for_all() {
    let grant = "source_token_grant = \"refresh_token\"\nsource_refresh_token_file = \"refresh\"\n";
    let auth = format!("{OAUTH2}{grant}");
    let shop = shop(&FIVE, "source_auth = \"oauth2\"", &auth);
    let kept = shop.file("refresh", "first-refresh-token\n");
    let rotated = Arc::new(AtomicUsize::new(0));
    let key = shop.key.clone();
    let shop = shop.api(move |request| {
        if request.path() != "/token" {
            return Reply::new(200, TWO);
        }
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if rotated.fetch_add(1, Ordering::SeqCst) > 0 || !body.contains("first-refresh-token") {
            return Reply::new(400, r#"{"error":"invalid_grant"}"#);
        }
        let next = format!("next-{key}");
        let body = json!({"access_token": key, "token_type": "Bearer", "refresh_token": next});
        Reply::new(200, body.to_string())
    });

    // The last ones begin when the file has another token than the first ones read.
    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "2"]);

    all_well(&printed, &FIVE);
    assert_eq!(logins(&shop), 1);
    let next = format!("next-{}\n", shop.key);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), next);
}

#[test]
fn a_login_is_made_once_for_all() {
    let login = "[auth]\nsource_login_url = \"{server}/token\"\nsource_login_token = \"/access_token\"\n\
                 source_login_body = '{\"user\": \"{user}\", \"password\": \"{password}\"}'\n";
    let source = "source_auth = \"login\"\nsource_api_key_env = \"CLIENT_SECRET\"";
    let shop = shop(&FIVE, source, login);
    let shop = with_tokens(shop, |_, _| Reply::new(200, TWO));

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "3"]);

    all_well(&printed, &FIVE);
    assert_eq!(logins(&shop), 1);
}

#[test]
fn a_rate_holds_for_all_together() {
    let source = format!("source_rate = 10\n{LINK}");
    let shop = shop(&FIVE, &source, "");
    let first: Mutex<Option<Instant>> = Mutex::default();
    let (at_once, in_all) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (at_once.clone(), in_all.clone());
    let shop = shop.api(move |request| {
        let begun = *first.lock().unwrap().get_or_insert_with(Instant::now);
        if begun.elapsed() < Duration::from_secs(1) {
            counted.0.fetch_add(1, Ordering::SeqCst);
        }
        counted.1.fetch_add(1, Ordering::SeqCst);
        let page: u32 = request
            .query("page")
            .map_or(1, |page| page.parse().unwrap());
        let reply = Reply::new(200, format!(r#"[{{"id":{page}}}]"#));
        if page == 4 {
            return reply;
        }
        reply.next(&format!("{{server}}{}?page={}", request.path(), page + 1))
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "5"]);

    all_well(&printed, &FIVE);
    assert_eq!(in_all.load(Ordering::SeqCst), 20);
    // One more than ten, and some that were late. By themselves, they would all be done by then.
    let at_once = at_once.load(Ordering::SeqCst);
    assert!(at_once <= 15, "{at_once} of 20 within a second");
}

#[test]
fn a_source_that_asks_one_to_wait_is_left_alone_by_all() {
    let shop = shop(&FIVE, "", "");
    let (refused, early) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let counted = early.clone();
    let shop = shop.api(move |_| {
        let mut refused = refused.lock().unwrap();
        let Some(at) = *refused else {
            *refused = Some(Instant::now());
            return Reply::new(429, "{}").header("retry-after", "2");
        };
        if at.elapsed() < Duration::from_secs(1) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Reply::new(200, TWO)
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "2"]);

    all_well(&printed, &FIVE);
    // The one that had been sent already.
    let early = early.load(Ordering::SeqCst);
    assert!(
        early <= 1,
        "{early} requests came before the source allowed any"
    );
}

#[test]
fn connections_are_used_again_by_the_next_resource() {
    let plain = shop(&FIVE, "", "").api(|_| Reply::new(200, TWO));
    let http2 = shop(&FIVE, "", "").over_http2();
    file(&http2, "shop.toml", &FIVE, "", "");
    let http2 = http2.api(|_| Reply::new(200, TWO));

    for shop in [plain, http2] {
        let printed = shop.tidegate(["run", "shop.toml", "--parallel", "1"]);

        all_well(&printed, &FIVE);
        assert_eq!(shop.server.seen().len(), 5);
        assert_eq!(shop.server.connections(), 1);
    }
}

#[test]
fn tenants_with_the_same_source_share_nothing() {
    let shop = shop(&[], "", "");
    for tenant in ["acme", "zoo"] {
        let name = format!("jobs/{tenant}/shop.toml");
        file(
            &shop,
            &name,
            &["a", "b"],
            "source_auth = \"oauth2\"",
            OAUTH2,
        );
        // So that the source knows who asks.
        let text = std::fs::read_to_string(shop.beside(&name)).unwrap();
        let text = text.replace("/a\"", &format!("/{tenant}/a\""));
        std::fs::write(
            shop.beside(&name),
            text.replace("/b\"", &format!("/{tenant}/b\"")),
        )
        .unwrap();
    }
    let shop = with_tokens(shop, |_, _| Reply::new(200, TWO));

    let printed = shop.tidegate(["run", "jobs", "--parallel", "4"]);

    printed.exits(0);
    assert_eq!(logins(&shop), 2);
    let (mut tokens, mut connections) = (BTreeMap::new(), BTreeMap::new());
    for request in shop.server.seen() {
        let tenant = request.path().split('/').nth(1).unwrap().to_owned();
        if tenant != "token" {
            let connections: &mut BTreeSet<usize> = connections.entry(tenant.clone()).or_default();
            connections.insert(request.connection);
            let tokens: &mut BTreeSet<usize> = tokens.entry(tenant).or_default();
            tokens.extend(number_of(&request));
        }
    }
    assert_eq!(tokens["acme"].len(), 1);
    assert!(tokens["acme"].is_disjoint(&tokens["zoo"]), "{tokens:?}");
    assert!(
        connections["acme"].is_disjoint(&connections["zoo"]),
        "{connections:?}"
    );
}

#[test]
fn a_resource_with_a_credential_of_its_own_shares_nothing() {
    let shop = shop(&["a", "b", "own"], "source_auth = \"oauth2\"", OAUTH2);
    let text = std::fs::read_to_string(shop.beside("shop.toml")).unwrap();
    shop.file(
        "shop.toml",
        &format!("{text}source_client_id = \"other\"\n"),
    );
    let shop = with_tokens(shop, |_, _| Reply::new(200, TWO));

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "1"]);

    all_well(&printed, &["a", "b", "own"]);
    assert_eq!(logins(&shop), 2);
    let seen = shop.server.seen();
    let number = |path: &str| {
        seen.iter()
            .find(|one| one.path() == path)
            .and_then(number_of)
    };
    assert_eq!(number("/a"), number("/b"));
    assert_ne!(number("/a"), number("/own"));
}

#[test]
fn a_resource_that_fails_changes_nothing_for_the_others() {
    let shop = shop(&["fine", "gone", "well"], "", "").api(|request| match request.path() {
        "/gone" => Reply::new(404, "{}"),
        _ => Reply::new(200, TWO),
    });

    let printed = shop.tidegate(["run", "shop.toml", "--parallel", "3"]);

    printed
        .exits(69)
        .stderr_has("tidegate: shop_gone: exit 69: ");
    let wanted = expected(&[("shop_fine", 0), ("shop_gone", 69), ("shop_well", 0)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    for (resource, is_there) in [("fine", true), ("gone", false), ("well", true)] {
        assert_eq!(published(&shop, resource).is_some(), is_there, "{resource}");
    }
    let ended = lines(&printed, "job ended");
    let fine = ended
        .iter()
        .find(|line| line["job"] == "shop_fine")
        .unwrap();
    assert_eq!(
        (&fine["records"], &fine["outcome"]),
        (&2.into(), &"published".into())
    );
    assert_eq!(lines(&printed, "run finished").len(), 3);
}

#[test]
fn a_signal_ends_all_and_frees_their_locks() {
    let shop = shop(&["a", "b", "c"], "", "").api(|_| Reply::silence());

    let begun = shop.begin(["run", "shop.toml", "--parallel", "2"]);
    shop.server.wait_for_requests(2);
    let processes = children(begun.pid());
    let printed = begun.signalled(Signal::TERM).ends_with_many_lines();

    printed.exits(143);
    assert_eq!(processes.len(), 1);
    processes.into_iter().for_each(is_gone);
    let again = shop.api(|_| Reply::new(200, TWO));
    all_well(&again.tidegate(["run", "shop.toml"]), &["a", "b", "c"]);
}

#[test]
fn resources_whose_process_is_killed_are_70_each_and_the_next_run_is_well() {
    let shop = shop(&["a", "b"], "", "").api(|request| match request.path() {
        "/a" => Reply::new(200, TWO),
        _ => Reply::silence(),
    });

    let begun = shop.begin(["run", "shop.toml", "--parallel", "1"]);
    shop.server.wait_for_requests(2);
    let processes = children(begun.pid());
    kill_process(processes[0], Signal::KILL).unwrap();
    let printed = begun.ends_with_many_lines();

    printed
        .exits(70)
        .stderr_has("tidegate: shop_b: exit 70: it was ended by signal 9");
    let wanted = expected(&[("shop_a", 0), ("shop_b", 70)]);
    assert_eq!(sorted(codes(&printed)), wanted);
    let again = shop.api(|_| Reply::new(200, TWO));
    all_well(&again.tidegate(["run", "shop.toml"]), &["a", "b"]);
}

#[test]
fn what_two_programs_of_one_name_print_is_not_taken_for_one_credential() {
    let shop = shop(&[], "source_auth = \"oauth2\"", "");
    let out = shop.beside("out").display().to_string();
    let of = |name: &str| {
        format!(
            "[resources.{name}]\nsource_api_url = \"{{server}}/{name}\"\nsource_client_secret_command = \"/bin/echo s3cret-of-{name}-0123456789\"\n"
        )
    };
    let text = format!(
        "[source]\nsource_auth = \"oauth2\"\n[auth]\nsource_token_url = \"{{server}}/token\"\nsource_client_id = \"tidegate\"\n[output]\noutput_dir = {out:?}\n{}{}",
        of("a"),
        of("b")
    );
    shop.file("shop.toml", &text);
    let shop = with_tokens(shop, |_, number| {
        Reply::new(200, json!([{"id": number}]).to_string())
    });

    let printed = shop.tidegate(["run", "shop.toml"]);

    all_well(&printed, &["a", "b"]);
    assert_eq!(logins(&shop), 2);
}
