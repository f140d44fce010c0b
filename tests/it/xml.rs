//! `SOURCE_FORMAT=xml`: feeds, SOAP answers and sitemaps as people have them, and documents that are no page. A bucket's
//! listing is a recipe (`recipes::listing`).

use serde_json::{Value, json};
use tidegate::outcome::Outcome;

use crate::server::{Reply, Request};
use crate::world::{Job, Run};

fn job(records: &str) -> Job {
    Job::new()
        .set("SOURCE_FORMAT", "xml")
        .set("SOURCE_RECORDS", records)
        .set("MAX_RETRIES", "0")
        .set("MAX_SHRINK_PERCENT", "100")
}

fn xml(body: &str) -> Reply {
    Reply::new(200, body).header("content-type", "application/xml")
}

fn refused(job: Job, body: &str) -> Run {
    let run = job.reply(xml(body)).run();
    run.exits(Outcome::ProtocolBroken).publishes_nothing();
    run
}

#[test]
fn a_feed_is_read_with_one_item_and_with_several() {
    let feed = |items: &str| {
        xml(&format!(
            "<?xml version=\"1.0\"?>\n<rss version=\"2.0\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n<channel>\n<title>News</title>\n{items}</channel>\n</rss>\n"
        ))
    };
    let first = "<item><title>A &amp; B</title><guid isPermaLink=\"false\">1</guid><dc:creator>x</dc:creator><category>u</category><category>v</category></item>\n";
    let second = "<item><title>C</title><guid isPermaLink=\"false\">2</guid><dc:creator/><category>u</category></item>\n";
    let transform = "{id: .guid[\"#text\"], title, by: .[\"dc:creator\"], tags: ([.category // empty] | flatten)}";
    let mut job = job("/rss/channel/item")
        .set("TRANSFORM", transform)
        .set("PRIMARY_KEY", "/id")
        .reply(feed(&format!("{first}{second}")));
    let expected = json!([
        {"id": "1", "title": "A & B", "by": "x", "tags": ["u", "v"]},
        {"id": "2", "title": "C", "by": "", "tags": ["u"]},
    ]);

    let several = job.run();
    let one = job.then(|job| job.reply(feed(first))).run();

    several.exits(Outcome::Published).publishes(&expected);
    assert_eq!(
        several.requests[0].header("accept"),
        Some("application/xml, text/xml, */*;q=0.8")
    );
    one.exits(Outcome::Published)
        .publishes(&json!([expected[0]]));
}

#[test]
fn an_atom_feed_is_followed_by_its_links_to_a_last_page_of_one() {
    let job = job("/feed/entry")
        .set("SOURCE_PAGINATION", "next-url")
        .set(
            "SOURCE_PAGE_FROM",
            ".feed.link[] | select(.[\"@rel\"] == \"next\").[\"@href\"]",
        )
        .set("PRIMARY_KEY", "/id");
    let answer = |request: &Request| {
        let entry = |id: u8| {
            format!(
                "<entry><id>{id}</id><link href='/e/{id}'/><link rel='edit' href='/e'/></entry>"
            )
        };
        let own = "<link rel='self' href='/items'/><link rel='hub' href='/hub'/>";
        let rest = match request.query("page") {
            None => format!(
                "<link rel='next' href='/items?page=2'/>{}{}",
                entry(1),
                entry(2)
            ),
            Some(_) => entry(3),
        };
        xml(&format!(
            "<feed xmlns='http://www.w3.org/2005/Atom'>{own}{rest}</feed>"
        ))
    };

    let run = job.api(answer).run();

    let ids = json!(["1", "2", "3"]);
    let published: Vec<Value> = {
        run.exits(Outcome::Published).asked(2);
        let latest = run.after.file("latest.json").expect("a file");
        serde_json::from_str(latest).expect("JSON")
    };
    let seen: Vec<&Value> = published.iter().map(|record| &record["id"]).collect();
    assert_eq!(json!(seen), ids);
    assert_eq!(published[2]["link"][1]["@rel"], "edit");
}

#[test]
fn a_soap_answer_is_read_and_a_fault_is_no_empty_page() {
    let at = "/soap:Envelope/soap:Body/m:ListResponse/m:Order";
    let envelope = |body: &str| {
        format!(
            "<soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Header/><soap:Body>{body}</soap:Body></soap:Envelope>"
        )
    };
    let orders = envelope(
        "<m:ListResponse xmlns:m=\"urn:o\"><m:Order><m:Id>1</m:Id><m:Note xsi:nil=\"true\" xmlns:xsi=\"urn:i\"/></m:Order></m:ListResponse>",
    );
    let fault = envelope(
        "<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code></soap:Fault>",
    );
    let job = || job(at).set("PRIMARY_KEY", "/m:Id");

    let read = job().reply(xml(&orders)).run();
    let failed = refused(job().set("SOURCE_RECORDS_MISSING", "empty"), &fault);

    read.exits(Outcome::Published)
        .publishes(&json!([{"m:Id": "1", "m:Note": {"@xsi:nil": "true"}}]));
    failed.stderr_has("has no records, and an error at `/soap:Envelope/soap:Body/soap:Fault`");
}

#[test]
fn a_sitemap_is_read_incrementally_in_latin_1() {
    let mut body = b"<?xml version='1.0' encoding='ISO-8859-1'?>\n<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>".to_vec();
    for day in [1, 2] {
        let url = format!(
            "<url><loc>https://x.example/{day}</loc><lastmod>2026-01-0{day}</lastmod><name>caf\u{0}</name></url>"
        );
        body.extend(url.bytes().map(|byte| if byte == 0 { 0xe9 } else { byte }));
    }
    body.extend(b"</urlset>");
    let mut job = job("/urlset/url")
        .set("SOURCE_CURSOR", "/lastmod")
        .set("PRIMARY_KEY", "/loc")
        .api(move |_| Reply::new(200, body.clone()).header("content-type", "text/xml"));

    let run = job.run();
    let again = job.run();

    run.exits(Outcome::Published).publishes(&json!([
        {"loc": "https://x.example/1", "lastmod": "2026-01-01", "name": "café"},
        {"loc": "https://x.example/2", "lastmod": "2026-01-02", "name": "café"},
    ]));
    again.exits(Outcome::NothingNew);
}

#[test]
fn what_is_not_the_document_is_no_empty_page() {
    let job = |records: &str| {
        job(records)
            .set("PRIMARY_KEY", "/id")
            .set("SOURCE_RECORDS_MISSING", "empty")
    };
    let orders = || job("/r/orders/order");
    let two = "<r><orders><order><id>1</id></order></orders><orders/></r>";

    for (body, why) in [
        (
            "<r><orders>\n<order><id>1</id></order>",
            "ends too early on line 2: the element `orders` has no end",
        ),
        (
            "<maintenance/>",
            "has the root element `maintenance`, not `r` (SOURCE_RECORDS)",
        ),
        (
            two,
            "has several elements at `/r/orders`, and `/r/orders/order` needs one: give a jq program, such as `.r.orders[].order?`",
        ),
        (
            "<html><title>Log in</title></html>",
            "it is a web page; it looks like HTML, titled `Log in`",
        ),
        (
            "{\"error\":1}",
            "is not xml (Content-Type `application/xml`); it begins with `{\"error\":1}`",
        ),
        ("", "is not xml"),
        (
            "<r><error>none of your business</error></r>",
            "an error at `/r/error`",
        ),
        (
            "<?xml version='1.0' encoding='UTF-16'?><r/>",
            "has the encoding `UTF-16`",
        ),
        (
            "<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><r>&a;</r>",
            "has a DOCTYPE on line 1",
        ),
    ] {
        refused(orders(), body).stderr_has(why);
    }
    let program = job(".r.orders[].order?").reply(xml(two)).run();
    let empty = orders().reply(xml("<r>\n<orders>\n</orders>\n</r>")).run();

    program
        .exits(Outcome::Published)
        .publishes(&json!([{"id": "1"}]));
    empty.exits(Outcome::Published).publishes(&json!([]));
}

#[test]
fn a_page_with_one_order_that_has_lines_is_one_order() {
    let order = "<order><id>1</id><line><sku>a</sku></line><line><sku>b</sku></line></order>";
    let listed = |records: &str, body: &str| {
        job(records)
            .set("PRIMARY_KEY", "/id")
            .reply(xml(body))
            .run()
    };

    let one = listed("/orders/order", &format!("<orders>{order}</orders>"));
    let above = listed(
        "/r/orders",
        &format!("<r><orders><id>9</id>{order}{order}</orders></r>"),
    );

    one.exits(Outcome::Published)
        .publishes(&json!([{"id": "1", "line": [{"sku": "a"}, {"sku": "b"}]}]));
    above
        .exits(Outcome::ProtocolBroken)
        .stderr_has("`/r/orders/order` has objects in it");
}

#[test]
fn an_error_in_xml_is_judged_by_source_error_whatever_its_status() {
    let job = |body: &'static str| {
        job("/r/o")
            .set("SOURCE_ERROR", "if $status == 404 and .Error.Code == \"NoneYet\" then \"empty\" else .Error.Message end")
            .api(move |_| Reply::new(404, body))
            .run()
    };

    let empty = job("<Error><Code>NoneYet</Code></Error>");
    let failed = job("<Error><Code>Other</Code><Message>no such list</Message></Error>");

    empty.exits(Outcome::Published).publishes(&json!([]));
    failed
        .exits(Outcome::SourceRefused)
        .stderr_has("SOURCE_ERROR says `no such list`");
}

#[test]
fn parents_and_their_children_are_both_xml() {
    let mut job = job("/lines/line")
        .set("SOURCE_EACH_URL", "{server}/orders")
        .set("SOURCE_EACH_RECORDS", "/orders/order")
        .set("SOURCE_EACH_VALUE", "/@id")
        .set("SOURCE_API_URL", "{server}/orders/{each}/lines")
        .set("TRANSFORM", "{order: $each, sku: .[\"@sku\"]}")
        .set("PRIMARY_KEY", "/order,/sku")
        .api(|request| match request.path() {
            "/orders" => xml("<orders><order id='1'/><order id='2'/></orders>"),
            path => {
                let id = path.split('/').nth(2).unwrap_or_default();
                xml(&format!(
                    "<lines><line sku='a{id}'/><line sku='b{id}'/></lines>"
                ))
            }
        });

    let run = job.run();

    run.exits(Outcome::Published).publishes(&json!([
        {"order": "1", "sku": "a1"},
        {"order": "1", "sku": "b1"},
        {"order": "2", "sku": "a2"},
        {"order": "2", "sku": "b2"},
    ]));
}

#[test]
fn a_first_look_names_the_format_and_what_leads_on() {
    let body = "<?xml version='1.0'?><feed><link rel='self' href='/items'/><link rel='next' href='/items?page=2'/><entry><id>1</id></entry><entry><id>2</id></entry><entry><id>3</id></entry></feed>";
    let job = Job::new().reply(xml(body));

    let shown = job.tidegate(["check", "--online"]);

    shown
        .exits(76)
        .stdout_has("SOURCE_FORMAT=xml")
        .stdout_has("3 records at `/feed/entry`")
        .stdout_has("SOURCE_RECORDS=/feed/entry")
        .stdout_has("SOURCE_PAGINATION=next-url")
        .stdout_has("/items?page=2")
        .stderr_has("it looks like XML (Content-Type `application/xml`): set SOURCE_FORMAT=xml");
    let unnamed = Job::new()
        .set("SOURCE_FORMAT", "xml")
        .reply(xml(body))
        .run();
    unnamed.exits(Outcome::ProtocolBroken).stderr_has(
        "not an array of records; set SOURCE_RECORDS, such as `/feed/link` or `/feed/entry`",
    );
}

#[test]
fn another_prefix_on_the_way_to_the_records_is_no_empty_page() {
    let body = "<a:list xmlns:a=\"urn:a\"><c:item xmlns:c=\"urn:b\"><id>1</id></c:item></a:list>";
    let job = job("/a:list/b:item").set("SOURCE_RECORDS_MISSING", "empty");

    let run = refused(job, body);

    run.stderr_has("has `c:item` at `/a:list`, not `b:item` (SOURCE_RECORDS)");
}
