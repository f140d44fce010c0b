//! The demo's API: a real HTTP server on loopback over a bundled sample of earthquakes, made for changing.
//!
//! `GET /earthquakes` wants a bearer key, gives pages of 50 with a `Link` to the next, and with `updated_since` only what
//! changed since then.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// Earthquakes of one week; where they are from is said in `README.md` beside the file.
const SAMPLE: &str = include_str!("earthquakes.ndjson");
const PAGE_RECORDS: usize = 50;

/// The API, as long as this lives.
pub struct Source {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key it wants.
    pub key: String,
    rows: Rows,
    _runtime: tokio::runtime::Runtime,
}

/// One earthquake a row, oldest change first.
type Rows = Arc<Mutex<Vec<Map<String, Value>>>>;

impl Source {
    /// Starts the API on a free port of this machine.
    pub fn start(key: String) -> anyhow::Result<Self> {
        let rows = SAMPLE
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>();
        let rows: Rows = Arc::new(Mutex::new(rows.context("read the bundled sample")?));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("start the demo's server")?;
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .context("listen on 127.0.0.1")?;
        let address = listener.local_addr()?;
        runtime.spawn(serve(listener, Arc::clone(&rows), key.clone()));
        Ok(Self {
            address,
            key,
            rows,
            _runtime: runtime,
        })
    }

    /// Rows in the source now.
    pub fn len(&self) -> usize {
        self.rows.lock().map_or(0, |rows| rows.len())
    }

    /// Reports one new earthquake and corrects the magnitude of another, both as of now.
    pub fn change(&self) {
        let Ok(mut rows) = self.rows.lock() else {
            return;
        };
        let now = json!(format!("{:.3}", Timestamp::now()));
        let mut new = rows[0].clone();
        new.insert("id".into(), json!("demo1"));
        new.insert(
            "place".into(),
            json!("a new one, off the coast of this demo"),
        );
        new.insert("time".into(), now.clone());
        new.insert("updated".into(), now.clone());
        let mut corrected = rows.remove(7);
        corrected.insert("mag".into(), json!(9.9));
        corrected.insert("updated".into(), now);
        rows.extend([new, corrected]);
    }
}

async fn serve(listener: TcpListener, rows: Rows, key: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (rows, key) = (Arc::clone(&rows), key.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let response = answer(&request, &rows, &key);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, rows: &Rows, key: &str) -> Response<Full<Bytes>> {
    let authorized = request
        .headers()
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == format!("Bearer {key}").as_bytes());
    if !authorized {
        return plain(
            StatusCode::UNAUTHORIZED,
            r#"{"error":"a bearer key is needed"}"#,
        );
    }
    if request.uri().path() != "/earthquakes" {
        return plain(
            StatusCode::NOT_FOUND,
            r#"{"error":"there is only /earthquakes"}"#,
        );
    }
    let query = request.uri().query().unwrap_or_default();
    let parameter = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let since: Option<Timestamp> = parameter("updated_since").and_then(|value| value.parse().ok());
    let page: usize = parameter("page")
        .and_then(|value| value.parse().ok())
        .unwrap_or(1)
        .max(1);
    page_of(rows, since, page)
}

fn page_of(rows: &Rows, since: Option<Timestamp>, page: usize) -> Response<Full<Bytes>> {
    let Ok(rows) = rows.lock() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "{}");
    };
    let changed = |row: &&Map<String, Value>| {
        let updated = row
            .get("updated")
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<Timestamp>().ok());
        since.is_none_or(|since| updated.is_some_and(|updated| updated >= since))
    };
    let matching: Vec<_> = rows.iter().filter(changed).collect();
    let shown: Vec<_> = matching
        .iter()
        .skip((page - 1) * PAGE_RECORDS)
        .take(PAGE_RECORDS)
        .collect();
    let mut response = plain(StatusCode::OK, &json!(shown).to_string());
    if page * PAGE_RECORDS < matching.len() {
        let mut next = format!("</earthquakes?page={}", page + 1);
        if let Some(since) = since {
            let _ = write!(next, "&updated_since={since}");
        }
        next.push_str(">; rel=\"next\"");
        if let Ok(next) = next.parse() {
            response.headers_mut().insert(header::LINK, next);
        }
    }
    response
}

fn plain(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
