//! Stand-ins for a W&B server and an MLflow tracking server on loopback. They keep what arrives, hold each line to its
//! place, and do what servers and networks do wrong when they are told to.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod fault;
mod http;
mod mlflow;
mod received;

pub use fault::{Fault, Plan, Seeded, calm};
pub use http::Request;
pub use mlflow::{Mlflow, MlflowRun};
pub use received::{Received, Run};

use http::Connection;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The key that the server takes.
pub const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a server does with requests.
pub trait Service: Send + 'static {
    /// A request was turned away.
    fn refused(&mut self, request: &Request);

    /// Does what `request` asks for; the status and body of the answer.
    fn take(&mut self, request: &Request) -> (u16, String);
}

/// A server that continues until it is dropped.
pub struct Server<S: Service = Received> {
    address: SocketAddr,
    shared: Arc<Shared<S>>,
    acceptor: Option<Acceptor>,
}

struct Shared<S> {
    received: Mutex<S>,
    plan: Mutex<Box<dyn Plan>>,
}

struct Acceptor {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// A W&B server whose answers `plan` spoils.
    #[must_use]
    pub fn start(plan: impl Plan + 'static) -> Self {
        Self::with(Received::new, plan)
    }
}

impl<S: Service> Server<S> {
    /// A server of the service that `service` makes of its address; `plan` spoils its answers.
    pub fn with(service: impl FnOnce(String) -> S, plan: impl Plan + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Mutex::new(service(format!("http://{address}")));
        let shared = Arc::new(Shared { received, plan: Mutex::new(Box::new(plan)) });
        let acceptor = Some(Acceptor::start(listener, Arc::clone(&shared)));
        Self { address, shared, acceptor }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far.
    pub fn received(&self) -> MutexGuard<'_, S> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spoils answers otherwise from now on.
    pub fn set_plan(&self, plan: impl Plan + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(plan);
    }

    /// Refuses connections until [`Server::come_back`].
    pub fn go_away(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop(self.address);
        }
    }

    /// Takes connections again, at the same address.
    pub fn come_back(&mut self) {
        if self.acceptor.is_none() {
            let listener = TcpListener::bind(self.address).unwrap();
            self.acceptor = Some(Acceptor::start(listener, Arc::clone(&self.shared)));
        }
    }
}

impl<S: Service> Drop for Server<S> {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl Acceptor {
    fn start<S: Service>(listener: TcpListener, shared: Arc<Shared<S>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                let stopped = Arc::clone(&stopped);
                std::thread::spawn(move || serve(stream, &shared, &stopped));
            }
        });
        Self { stop, thread }
    }

    fn stop(self, address: SocketAddr) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = TcpStream::connect(address);
        self.thread.join().unwrap();
    }
}

/// Answers the requests of one connection.
fn serve<S: Service>(stream: TcpStream, shared: &Shared<S>, stop: &AtomicBool) {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.request() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let fault = {
            let mut plan = shared.plan.lock().unwrap_or_else(PoisonError::into_inner);
            plan.next(&request)
        };
        if let Some(Fault::Status { code, retry_after }) = fault {
            shared.received.lock().unwrap_or_else(PoisonError::into_inner).refused(&request);
            let header = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
            connection.answer(code, header, "{\"error\":\"as planned\"}");
            continue;
        }
        if let Some(Fault::Errors) = fault {
            let body = r#"{"data":{"any":null},"errors":[{"message":"\u001b[31mas planned"}]}"#;
            connection.answer(200, None, body);
            continue;
        }
        if let Some(Fault::CloseUnread) = fault {
            return;
        }
        if let Some(Fault::Hang(time) | Fault::Slow(time)) = fault {
            std::thread::sleep(time);
        }
        if let Some(Fault::Hang(_)) = fault {
            return;
        }
        // From here on the server has done what it was asked for, whatever the client hears of it.
        let (code, body) = {
            let mut received = shared.received.lock().unwrap_or_else(PoisonError::into_inner);
            received.take(&request)
        };
        match fault {
            Some(Fault::LoseAnswer) => return,
            Some(Fault::BreakAnswer) => {
                connection.broken_answer(code, &body);
                return;
            }
            Some(Fault::Garbage) => connection.answer(200, None, "<html>a proxy's page</html>"),
            Some(Fault::NoData) => connection.answer(200, None, "{}"),
            _ => connection.answer(code, None, &body),
        }
    }
}
