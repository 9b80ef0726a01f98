//! The service over a real NATS server, met as the deployed SDKs and the library meet it.

mod hostile;
mod instances;
mod operator;
mod peer;
mod quiet;
mod subjects;
