//! The transports that clients speak over. What a test says of one it says of all: it gets the
//! transport and is run once for each.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::authority::{Authority, encrypt};
use crate::fault_service::{
    FaultService, Nats, Request, Stream, Then, Veltix, advise, advise_reports, reply,
    taken_with_advice,
};

/// A way to speak to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Http,
    Https,
    Nats,
    NatsTls,
    Veltix,
    VeltixTls,
}

/// Makes tests of functions that take a [`Transport`]: for HTTP in a module `http`, for NATS in a
/// module `nats`, for Veltix in a module `veltix`. Others are named in front:
/// `over_each_transport!(https, nats_tls: a, b)`.
#[macro_export]
macro_rules! over_each_transport {
    ($($transport:ident),+ : $($test:ident),+ $(,)?) => {
        $crate::over_each_transport!(@each [$($transport)+] [$($test)+]);
    };
    ($($test:ident),+ $(,)?) => {
        $crate::over_each_transport!(@each [http nats veltix] [$($test)+]);
    };
    (@each [$($transport:ident)+] $tests:tt) => {
        $($crate::over_each_transport!(@one $transport $tests);)+
    };
    (@one http $tests:tt) => { $crate::over_each_transport!(@as http Http $tests); };
    (@one https $tests:tt) => { $crate::over_each_transport!(@as https Https $tests); };
    (@one nats $tests:tt) => { $crate::over_each_transport!(@as nats Nats $tests); };
    (@one nats_tls $tests:tt) => { $crate::over_each_transport!(@as nats_tls NatsTls $tests); };
    (@one veltix $tests:tt) => { $crate::over_each_transport!(@as veltix Veltix $tests); };
    (@one veltix_tls $tests:tt) => {
        $crate::over_each_transport!(@as veltix_tls VeltixTls $tests);
    };
    (@as $module:ident $transport:ident [$($test:ident)+]) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::transports::Transport::$transport);
                }
            )+
        }
    };
}

impl Transport {
    /// The same without encryption.
    pub fn plain(self) -> Self {
        match self {
            Self::Http | Self::Https => Self::Http,
            Self::Nats | Self::NatsTls => Self::Nats,
            Self::Veltix | Self::VeltixTls => Self::Veltix,
        }
    }

    /// What addresses begin with.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Nats => "nats",
            Self::NatsTls => "tls",
            Self::Veltix => "veltix",
            Self::VeltixTls => "veltixs",
        }
    }

    /// The value for `SUPERSTREAM_HOST`, of a service at `host:port`.
    pub fn host(self, address: &str) -> String {
        format!("{}://{address}", self.scheme())
    }

    /// A service that answers by a script.
    pub fn serve(
        self,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> FaultService {
        match self {
            Self::Http => FaultService::start(script),
            Self::Nats => FaultService::over_nats(Nats::new(), script),
            Self::Veltix => FaultService::over_veltix(Veltix::new(), script),
            Self::Https | Self::NatsTls | Self::VeltixTls => {
                let authority = Authority::new();
                let config = authority.server("localhost", |_| ());
                let mut service = self.serve_within(config, script);
                service.host = self.host(&format!("localhost:{}", service.port));
                let (name, value) = authority.environment();
                service.environment.push((name, value.to_owned()));
                service
            }
        }
    }

    /// A service that encrypts so.
    pub fn serve_within(
        self,
        config: Arc<ServerConfig>,
        script: impl Fn(&Request, &mut dyn Stream) -> io::Result<Then> + Send + Sync + 'static,
    ) -> FaultService {
        match self.plain() {
            Self::Nats => {
                let tls = Some(config);
                FaultService::over_nats(Nats { tls, ..Nats::new() }, script)
            }
            Self::Veltix => {
                let tls = Some(config);
                FaultService::over_veltix(
                    Veltix {
                        tls,
                        ..Veltix::new()
                    },
                    script,
                )
            }
            _ => FaultService::start_within(encrypt(config), script),
        }
    }

    /// Good advice for every client.
    pub fn advising(self, configuration: Value) -> FaultService {
        self.serve(move |request, stream| advise(request, stream, &configuration))
    }
}

/// Advice of which the engine refuses a part in some tests, and a report each second.
pub fn answer(request: &Request, stream: &mut dyn Stream) -> io::Result<Then> {
    if request.reports() {
        let answer = taken_with_advice(&request.json(), &json!({"linger.ms": 80}));
        return reply(stream, "200 OK", &answer.to_string());
    }
    let advice = json!({"linger.ms": 50, "sasl.password": "x", "acks": "1"});
    advise_reports(request, stream, &advice)
}
