//! How we say who we are: `SOURCE_AUTH` with what belongs to it, the key for signing, and the client certificate.
//!
//! Which settings belong to which value of `SOURCE_AUTH` is the catalogue's to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use zeroize::Zeroizing;

use crate::egress::{
    AssertionKey, Auth, AwsKey, AwsScope, Besides, ClientAuth, ClientFiles, Grant, Issuer, Key,
    Login, OAuth2, PLACE, Places, RefreshToken, SendAs, SentIn, SigningKey, TokenIn,
};
use crate::secret::Secret;
use crate::settings::catalogue::{
    CLIENT_CERT_FILE, CLIENT_KEY_FILE, SOURCE_API_KEY, SOURCE_API_URL, SOURCE_AUTH,
    SOURCE_AUTH_NAME, SOURCE_AWS_REGION, SOURCE_AWS_SERVICE, SOURCE_CLIENT_ID,
    SOURCE_CLIENT_SECRET, SOURCE_LOGIN_BODY, SOURCE_LOGIN_SEND, SOURCE_LOGIN_TOKEN,
    SOURCE_LOGIN_URL, SOURCE_REFRESH_TOKEN, SOURCE_SCOPE, SOURCE_SECRET, SOURCE_SECRET_HEADERS,
    SOURCE_SIGNING_ALGORITHM, SOURCE_SIGNING_KEY, SOURCE_SIGNING_KEY_FORMAT, SOURCE_TOKEN_AUTH,
    SOURCE_TOKEN_GRANT, SOURCE_TOKEN_KEY, SOURCE_TOKEN_KEY_ID, SOURCE_TOKEN_PARAMS,
    SOURCE_TOKEN_URL, Setting,
};
use crate::settings::component_settings::{BODY, EXPORT_BODY};
use crate::settings::conflicts::example;
use crate::settings::inputs::{Inputs, Problem};

/// `SOURCE_AUTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// A header.
    Header,
    /// A query parameter.
    Query,
    /// `Authorization: Basic …`.
    Basic,
    /// An access token that is fetched.
    OAuth2,
    /// The session token of a login.
    Login,
    /// A signature of each request.
    Aws,
}

impl Scheme {
    /// Reads `SOURCE_AUTH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "bearer" => Ok(Self::Bearer),
            "header" => Ok(Self::Header),
            "query" => Ok(Self::Query),
            "basic" => Ok(Self::Basic),
            "oauth2" => Ok(Self::OAuth2),
            "login" => Ok(Self::Login),
            "aws-sigv4" => Ok(Self::Aws),
            _ => Err(
                "takes `bearer`, `header`, `query`, `basic`, `oauth2`, `login` or `aws-sigv4`"
                    .to_owned(),
            ),
        }
    }
}

/// `SOURCE_TOKEN_GRANT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749, 4.4.
    ClientCredentials,
    /// RFC 6749, 6.
    RefreshToken,
    /// RFC 6749, 4.3.
    Password,
}

impl GrantType {
    /// Reads `SOURCE_TOKEN_GRANT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "client_credentials" => Ok(Self::ClientCredentials),
            "refresh_token" => Ok(Self::RefreshToken),
            "password" => Ok(Self::Password),
            _ => Err("takes `client_credentials`, `refresh_token` or `password`".to_owned()),
        }
    }
}

/// How requests to the source are authorized; not at all where that is said, or what is said cannot be used.
pub(super) fn auth(inputs: &Inputs, problems: &mut Vec<Problem>) -> Auth {
    let Some(scheme) = scheme(inputs, problems) else {
        return Auth::None;
    };
    let name = inputs.parsed(&SOURCE_AUTH_NAME, problems);
    if scheme == Scheme::OAuth2 {
        let issuer = oauth2(inputs, problems).map(Issuer::OAuth2);
        return issuer.map_or(Auth::None, |issuer| Auth::Fetched(Box::new(issuer)));
    }
    if scheme == Scheme::Login {
        let issuer = login(inputs, problems).map(Issuer::Login);
        return issuer.map_or(Auth::None, |issuer| Auth::Fetched(Box::new(issuer)));
    }
    if scheme == Scheme::Aws {
        return aws(inputs, problems).map_or(Auth::None, |(key, scope)| Auth::Aws(key, scope));
    }
    let Some(key) = key(inputs, &SOURCE_API_KEY, problems) else {
        return Auth::None;
    };
    match scheme {
        Scheme::Bearer => Auth::Bearer(key),
        Scheme::Header => Auth::Header {
            name: name.unwrap_or_else(|| "X-API-Key".to_owned()),
            value: key,
        },
        Scheme::Query => Auth::Query {
            name: name.unwrap_or_else(|| "api_key".to_owned()),
            value: key,
        },
        Scheme::Basic if is_pair(&key) => Auth::Basic(key),
        Scheme::Basic | Scheme::OAuth2 | Scheme::Login | Scheme::Aws => {
            problems.push(no_pair(
                inputs,
                "SOURCE_AUTH=basic; where a key is the user, `key:`",
            ));
            Auth::None
        }
    }
}

/// A secret by which the source knows us, with the file that it came from.
fn key(
    inputs: &Inputs,
    setting: &'static Setting<Secret>,
    problems: &mut Vec<Problem>,
) -> Option<Key> {
    let value = inputs.parsed(setting, problems)?;
    Some(Key::new(value, inputs.secret_file(setting)))
}

fn scheme(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<Scheme> {
    let before = problems.len();
    let given = inputs.parsed(&SOURCE_AUTH, problems);
    match given {
        None if problems.len() > before => None,
        None => (SOURCE_AUTH.parse)(SOURCE_AUTH.row.default).ok(),
        given => given,
    }
}

fn is_pair(key: &Key) -> bool {
    key.expose().contains(':')
}

fn no_pair(inputs: &Inputs, with: &str) -> Problem {
    Problem {
        setting: SOURCE_API_KEY.row.name.to_owned(),
        message: format!("takes `user:password` with {with}"),
        origin: inputs.origin(&SOURCE_AUTH.row),
    }
}

/// `user:password`, which this value of SOURCE_AUTH or SOURCE_TOKEN_GRANT needs.
fn pair(inputs: &Inputs, with: &str, problems: &mut Vec<Problem>) -> Option<Key> {
    if !inputs.is_given(&SOURCE_API_KEY.row) {
        problems.push(required(&SOURCE_API_KEY, with));
        return None;
    }
    let pair = key(inputs, &SOURCE_API_KEY, problems)?;
    if !is_pair(&pair) {
        problems.push(no_pair(inputs, with));
        return None;
    }
    Some(pair)
}

fn required(setting: &Setting<Secret>, with: &str) -> Problem {
    let line = example(&setting.row);
    let message = format!("is required with {with}; for example `{line}`");
    Problem::new(setting.row.name, message)
}

/// All that OAuth2 needs. Reports every problem except missing settings that are required in any case.
fn oauth2(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<OAuth2> {
    let token_url = inputs.parsed(&SOURCE_TOKEN_URL, problems);
    let client_id = inputs.parsed(&SOURCE_CLIENT_ID, problems);
    let scope = inputs.parsed(&SOURCE_SCOPE, problems);
    let params = inputs.parsed(&SOURCE_TOKEN_PARAMS, problems);
    let kind = inputs.parsed(&SOURCE_TOKEN_GRANT, problems);
    let kind = kind.unwrap_or(if inputs.is_given(&SOURCE_REFRESH_TOKEN.row) {
        GrantType::RefreshToken
    } else {
        GrantType::ClientCredentials
    });
    let client = client(inputs, kind, problems);
    let grant = grant(inputs, kind, problems);
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client: client?,
        grant: grant?,
        scope,
        params: params.unwrap_or_default(),
    })
}

fn client(inputs: &Inputs, kind: GrantType, problems: &mut Vec<Problem>) -> Option<ClientAuth> {
    let secret = key(inputs, &SOURCE_CLIENT_SECRET, problems);
    let sent_in = inputs.parsed_or_default(&SOURCE_TOKEN_AUTH, problems);
    match (sent_in, secret) {
        (SentIn::Assertion, secret) => {
            if secret.is_some() {
                let message = "has no effect with SOURCE_TOKEN_AUTH=private_key_jwt: remove it";
                problems.push(inputs.problem(SOURCE_CLIENT_SECRET.row.name, message));
            }
            let id = inputs.parsed(&SOURCE_TOKEN_KEY_ID, problems);
            let pem = inputs.parsed(&SOURCE_TOKEN_KEY, problems)?;
            match AssertionKey::of_pem(pem.expose(), id) {
                Ok(key) => Some(ClientAuth::Signed(key)),
                Err(message) => {
                    problems.push(inputs.problem(SOURCE_TOKEN_KEY.row.name, message));
                    None
                }
            }
        }
        (SentIn::Header, Some(secret)) => Some(ClientAuth::Header(secret)),
        (SentIn::Body, Some(secret)) => Some(ClientAuth::Body(secret)),
        (SentIn::Header | SentIn::Body, None) => {
            let is_given = inputs.is_given(&SOURCE_CLIENT_SECRET.row);
            if kind == GrantType::ClientCredentials && !is_given {
                problems.push(required(&SOURCE_CLIENT_SECRET, "SOURCE_AUTH=oauth2"));
            }
            // One that is given and cannot be used is a problem already.
            (kind != GrantType::ClientCredentials && !is_given).then_some(ClientAuth::Public)
        }
    }
}

fn grant(inputs: &Inputs, kind: GrantType, problems: &mut Vec<Problem>) -> Option<Grant> {
    if kind != GrantType::RefreshToken && inputs.is_given(&SOURCE_REFRESH_TOKEN.row) {
        let message =
            "has no effect without SOURCE_TOKEN_GRANT=refresh_token: remove one of the two";
        problems.push(inputs.problem(SOURCE_REFRESH_TOKEN.row.name, message));
    }
    if kind != GrantType::Password && inputs.is_given(&SOURCE_API_KEY.row) {
        let message = "has no effect with SOURCE_AUTH=oauth2, which fetches a token: remove it, or set SOURCE_TOKEN_GRANT=password";
        problems.push(inputs.problem(SOURCE_API_KEY.row.name, message));
    }
    match kind {
        GrantType::ClientCredentials => Some(Grant::Client),
        GrantType::Password => {
            pair(inputs, "SOURCE_TOKEN_GRANT=password", problems).map(Grant::Password)
        }
        GrantType::RefreshToken => {
            if !inputs.is_given(&SOURCE_REFRESH_TOKEN.row) {
                let with = "SOURCE_TOKEN_GRANT=refresh_token";
                problems.push(required(&SOURCE_REFRESH_TOKEN, with));
            }
            let token = inputs.parsed(&SOURCE_REFRESH_TOKEN, problems)?;
            let file = inputs.rotated_file(&SOURCE_REFRESH_TOKEN);
            if let Some(why) = file.as_ref().and_then(|file| file.check().err()) {
                let message = format!(
                    "is in a file that cannot be rewritten, and a server may replace the token with each use: {why}"
                );
                problems.push(inputs.problem(SOURCE_REFRESH_TOKEN.row.name, message));
            }
            Some(Grant::Refresh(RefreshToken { token, file }))
        }
    }
}

/// All that a login needs. Reports every problem except missing settings that are required in any case.
fn login(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<Login> {
    let url = inputs.parsed(&SOURCE_LOGIN_URL, problems);
    let body = inputs.parsed(&SOURCE_LOGIN_BODY, problems);
    let token = inputs.parsed(&SOURCE_LOGIN_TOKEN, problems);
    let send = inputs.parsed(&SOURCE_LOGIN_SEND, problems);
    let pair = pair(inputs, "SOURCE_AUTH=login", problems);
    let token = token?;
    let send = send.unwrap_or_else(|| match &token {
        TokenIn::Cookie(name) => SendAs::Cookie(name.clone()),
        TokenIn::Body(_) | TokenIn::Header(_) => SendAs::Bearer,
    });
    Some(Login {
        url: url?,
        body: body?,
        pair: pair?,
        token,
        send,
    })
}

/// What signatures of AWS need. Reports every problem.
fn aws(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<(Key, AwsScope)> {
    let given = key(inputs, &SOURCE_API_KEY, problems);
    if !inputs.is_given(&SOURCE_API_KEY.row) {
        problems.push(required(&SOURCE_API_KEY, "SOURCE_AUTH=aws-sigv4"));
    }
    let read = given.as_ref().map(|key| AwsKey::parse(key.expose()));
    if let Some(Err(message)) = read {
        problems.push(inputs.problem(SOURCE_API_KEY.row.name, message));
    }
    let url = inputs.get(&SOURCE_API_URL.row);
    let url = url.and_then(|url| (SOURCE_API_URL.parse)(&url.value).ok());
    let named = url.as_ref().and_then(Url::host_str).and_then(aws_host);
    let mut part = |setting: &'static Setting<String>, named: Option<&str>| {
        let value = inputs.parsed(setting, problems);
        if named.is_none() && !inputs.is_given(&setting.row) {
            let line = example(&setting.row);
            let message = format!(
                "is required with SOURCE_AUTH=aws-sigv4, as the host of SOURCE_API_URL does not name it; for example `{line}`"
            );
            problems.push(Problem::new(setting.row.name, message));
        }
        value.or_else(|| named.map(str::to_owned))
    };
    let region = part(&SOURCE_AWS_REGION, named.map(|(_, region)| region));
    let service = part(&SOURCE_AWS_SERVICE, named.map(|(service, _)| service));
    Some((given?, AwsScope::new(region?, service?)))
}

/// Service and region in a host such as `ID.execute-api.eu-west-1.amazonaws.com`; none where it does not end like that.
fn aws_host(host: &str) -> Option<(&str, &str)> {
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let (before, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
    let service = before.rsplit('.').next()?;
    let (place, number) = region.rsplit_once('-')?;
    let is_region = place.contains('-') && number.parse::<u8>().is_ok();
    is_region.then_some((service, region))
}

/// `SOURCE_SIGNING_KEY_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// The bytes of the text are the key.
    Text,
    /// RFC 4648, section 4.
    Base64,
    /// Two digits a byte.
    Hex,
}

impl KeyFormat {
    /// Reads `SOURCE_SIGNING_KEY_FORMAT`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "base64" => Ok(Self::Base64),
            "hex" => Ok(Self::Hex),
            _ => Err("takes `text`, `base64` or `hex`".to_owned()),
        }
    }

    /// The key that is written like this. `Err` completes a sentence that begins with the setting's name, and shows nothing of it.
    fn key(self, text: &Secret) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let text = text.expose();
        match self {
            Self::Text => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Self::Base64 => (STANDARD.decode(text).map(Zeroizing::new))
                .map_err(|_| "is not base64, as SOURCE_SIGNING_KEY_FORMAT says it is"),
            Self::Hex => of_hex(text).ok_or("is not hex, as SOURCE_SIGNING_KEY_FORMAT says it is"),
        }
    }
}

fn of_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok(),
        _ => None,
    };
    // Of its size from the beginning: a list that grows leaves copies behind.
    let mut key = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        key.push(byte(pair)?);
    }
    Some(key)
}

/// What requests to the source have besides the credential.
pub(super) fn besides(inputs: &Inputs, auth: &Auth, problems: &mut Vec<Problem>) -> Besides {
    let headers = inputs.parsed(&SOURCE_SECRET_HEADERS, problems);
    let headers = headers.unwrap_or_default();
    let of_auth = auth.header();
    let twice = headers
        .iter()
        .find(|(name, _)| Some(name) == of_auth.as_ref());
    if let Some((name, _)) = twice {
        let message = format!("has `{name}`, which SOURCE_AUTH sets: remove one of the two");
        problems.push(inputs.problem(SOURCE_SECRET_HEADERS.row.name, message));
    }
    Besides {
        signing: signing(inputs, problems),
        headers,
        // Where it goes, the component's settings say.
        places: None,
    }
}

/// Where `SOURCE_SECRET` goes. A place without a secret is a problem, and a secret without a place.
pub(super) fn places(
    inputs: &Inputs,
    secret: Option<&Secret>,
    source: Option<&Url>,
    problems: &mut Vec<Problem>,
) -> Option<Places> {
    let body_of = |name| Some((name, inputs.of_component(name)?.value.as_str()));
    let body = body_of(BODY).or_else(|| body_of(EXPORT_BODY));
    let (body_name, body) = body.map_or((BODY, None), |(name, text)| (name, Some(text)));
    let url = inputs
        .get(&SOURCE_API_URL.row)
        .map(|given| given.value.as_str());
    let has_place = |text: Option<&str>| text.is_some_and(|text| text.contains(PLACE));
    let in_query = url
        .and_then(|url| url.split_once('?'))
        .map(|(_, query)| query);
    if has_place(url) && !has_place(in_query) {
        let message = format!("has `{PLACE}`, which is replaced in the query only, behind the `?`");
        problems.push(inputs.problem(SOURCE_API_URL.row.name, message));
    }
    let name = SOURCE_SECRET.row.name;
    if !inputs.is_given(&SOURCE_SECRET.row) {
        let placed = [(SOURCE_API_URL.row.name, in_query), (body_name, body)];
        for (setting, _) in placed.into_iter().filter(|(_, text)| has_place(*text)) {
            let message = format!(
                "has `{PLACE}`, and {name} is not set: set it, for example `{name}_FILE=/etc/tidegate/secret`"
            );
            problems.push(inputs.problem(setting, message));
        }
        return None;
    }
    let source = source?;
    for (parameter, value) in source.query_pairs() {
        let is_shared = value.replace(PLACE, "").contains('{');
        let same = source
            .query_pairs()
            .filter(|(other, _)| *other == parameter);
        if value.contains(PLACE) && (is_shared || same.count() > 1) {
            let message = format!(
                "has `{PLACE}` in the parameter `{parameter}` beside another placeholder, or has that parameter twice: \
                 give the secret a parameter of its own"
            );
            problems.push(inputs.problem(SOURCE_API_URL.row.name, message));
        }
    }
    let places = Places::new(secret?, source, body);
    let texts = places.iter().flat_map(Places::texts_of_the_body);
    let is_shared = |text: String| text.contains("{cursor}") || text.contains("{each}");
    if texts.into_iter().any(is_shared) {
        let message = format!(
            "has `{PLACE}` in one text with `{{cursor}}` or `{{each}}`: give the secret a text of its own"
        );
        problems.push(inputs.problem(body_name, message));
    }
    if places.is_none() {
        let message = format!(
            "has no effect without `{PLACE}` in the query of SOURCE_API_URL, in {BODY} or in {EXPORT_BODY}"
        );
        problems.push(inputs.problem(name, message));
    }
    places
}

/// The key with which requests are signed, if there is one.
fn signing(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<SigningKey> {
    let algorithm = inputs.parsed_or_default(&SOURCE_SIGNING_ALGORITHM, problems);
    let format = inputs.parsed_or_default(&SOURCE_SIGNING_KEY_FORMAT, problems);
    let text = inputs.parsed(&SOURCE_SIGNING_KEY, problems)?;
    match format.key(&text) {
        Ok(key) => Some(SigningKey::new(algorithm, &key, text)),
        Err(message) => {
            problems.push(Problem {
                setting: SOURCE_SIGNING_KEY.row.name.to_owned(),
                message: message.to_owned(),
                origin: inputs.origin(&SOURCE_SIGNING_KEY.row),
            });
            None
        }
    }
}

/// The client certificate: both files or none, and somebody to show it to.
pub(super) fn client_files(
    inputs: &Inputs,
    source: Option<&Url>,
    auth: &Auth,
    problems: &mut Vec<Problem>,
) -> Option<ClientFiles> {
    let certificates = inputs.parsed(&CLIENT_CERT_FILE, problems);
    let key = inputs.parsed(&CLIENT_KEY_FILE, problems);
    // That one is missing is a rule of the catalogue.
    let (certificates, key) = certificates.zip(key)?;
    let tokens = match auth {
        Auth::Fetched(issuer) => Some(issuer.url()),
        _ => None,
    };
    let mut urls = source.into_iter().chain(tokens);
    if source.is_some() && urls.all(|url| url.scheme() == "http") {
        problems.push(Problem::new(
            CLIENT_CERT_FILE.row.name,
            "has no effect over plain http: use https in SOURCE_API_URL, or remove it",
        ));
        return None;
    }
    Some(ClientFiles { certificates, key })
}
