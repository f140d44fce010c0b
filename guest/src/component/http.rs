//! Requests through waki: `ports::Http` for a component.

use crate::ports::{Answer, Http, Request, SendError};

/// Read at once from an answer; the stream gives what it has.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// Requests through waki.
pub struct Waki;

impl Http for Waki {
    fn send(&mut self, request: &Request, body_bytes_max: usize) -> Result<Answer, SendError> {
        let client = waki::Client::new();
        let mut builder = match &request.body {
            None => client.get(&request.url),
            Some(body) => client.post(&request.url).body(body.as_bytes()),
        };
        for (name, value) in &request.headers {
            let name = waki::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| SendError::Broken(format!("send a header named `{name}`")))?;
            builder = builder.header(name, value.as_str());
        }
        let response = builder.send().map_err(|error| send_error(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk(CHUNK_BYTES)
            .map_err(|_| SendError::CutOff("the answer was cut off".to_owned()))?
        {
            if body.len() + chunk.len() > body_bytes_max {
                return Err(SendError::Broken(format!(
                    "the answer is larger than {} MiB",
                    body_bytes_max / (1024 * 1024)
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status_code(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body,
        })
    }
}

fn send_error(error: &anyhow::Error) -> SendError {
    use waki::ErrorCode as E;
    let Some(code) = error.downcast_ref::<E>() else {
        return SendError::Broken(format!("{error:#}"));
    };
    match code {
        E::HttpRequestDenied | E::DestinationIpProhibited | E::DestinationIpUnroutable => {
            SendError::Denied("the host does not grant it".to_owned())
        }
        E::HttpResponseIncomplete
        | E::HttpResponseContentCoding(_)
        | E::HttpResponseTransferCoding(_) => {
            SendError::CutOff("the answer was cut off or is damaged".to_owned())
        }
        E::TlsCertificateError => {
            SendError::Broken("the server's certificate is not valid".to_owned())
        }
        E::HttpProtocolError => SendError::Broken("the answer is not valid HTTP".to_owned()),
        E::HttpResponseBodySize(_)
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseHeaderSize(_) => {
            SendError::Broken("the answer is larger than allowed".to_owned())
        }
        E::HttpRequestUriInvalid
        | E::HttpRequestUriTooLong
        | E::HttpRequestHeaderSectionSize(_) => {
            SendError::Broken("the request is larger than allowed or malformed".to_owned())
        }
        E::ConfigurationError => {
            SendError::Denied("the host has run out of requests for this run".to_owned())
        }
        E::DnsTimeout | E::DnsError(_) => {
            SendError::Unreachable("the name does not resolve".to_owned())
        }
        E::ConnectionRefused => SendError::Unreachable("the connection was refused".to_owned()),
        E::ConnectionTimeout | E::ConnectionReadTimeout | E::HttpResponseTimeout => {
            SendError::Unreachable("no answer in time".to_owned())
        }
        other => SendError::Unreachable(format!("no answer ({other:?})")),
    }
}
