//! What is bounded: connections, descriptors, local ports and listen queues.

mod clients;
mod exhaustion;
mod local_ports;
mod overflows;
