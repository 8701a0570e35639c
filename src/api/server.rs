//! Connections: how many, from whom, encrypted how, and for how long they may say nothing.
//!
//! Belongs here: sockets and the runtime with its fixed number of threads. Does not belong: what is
//! asked over them.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::ServiceExt;

use super::guard::Peer;

/// Connections at a time: a school's few people, each with a page or two.
const MOST: usize = 96;
/// Of them from one address that is not this machine itself, where a proxy may be.
const MOST_FROM_ONE: usize = 32;
/// How long somebody may take to agree on encryption, or to send the head of a request.
pub(super) const HURRY: Duration = Duration::from_secs(10);
/// Longest head of a request, and most headers in it.
pub(super) const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 64;

/// Serves `router` on `listener`, for ever.
pub(super) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router) {
    let tls = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(MOST));
    let crowd = Crowd::default();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, or somebody who left while knocking.
                tracing::debug!(%error, "nobody could be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!("too many connections: one was turned away");
            continue;
        };
        let Some(place) = crowd.enter(from.ip()) else { continue };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let _held: (OwnedSemaphorePermit, Place) = (permit, place);
            let _ = stream.set_nodelay(true);
            answer(stream, from, tls, router).await;
        });
    }
}

async fn answer(stream: TcpStream, from: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    match tls {
        None => converse(stream, from, router).await,
        Some(tls) => match timeout(HURRY, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, from, router).await,
            Ok(Err(error)) => tracing::debug!(%error, "no encryption was agreed on"),
            Err(_) => {}
        },
    }
}

async fn converse<S>(stream: S, from: SocketAddr, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(from));
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HURRY)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Crowd {
    fn enter(&self, from: IpAddr) -> Option<Place> {
        let mut crowd = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = crowd.entry(from).or_default();
        if *count >= MOST_FROM_ONE && !from.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), from })
    }
}

/// One of them, for as long as it lives.
struct Place {
    crowd: Crowd,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut crowd = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = crowd.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                crowd.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all_the_room() {
        let crowd = Crowd::default();
        let from: IpAddr = "10.0.0.1".parse().unwrap();
        let mut places: Vec<Place> =
            (0..MOST_FROM_ONE).map(|_| crowd.enter(from).unwrap()).collect();
        assert!(crowd.enter(from).is_none());
        assert!(crowd.enter("10.0.0.2".parse().unwrap()).is_some());
        places.pop();
        assert!(crowd.enter(from).is_some());
        drop(places);
        assert!(crowd.0.lock().unwrap().is_empty());
    }
}
