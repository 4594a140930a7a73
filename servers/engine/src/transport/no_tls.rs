//! Takes the place of TLS in a library without the feature `tls`: there is no session.

use super::{Received, Transmitted};
use crate::metrics::Counters;
use http_core::{RecvBuf, SendQueue, TlsInfo};
use rustix::net::RecvFlags;
use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, OnceLock},
};

/// What begins a session, and the session. There is none.
#[derive(Clone, Debug)]
pub(crate) enum NoTls {}

pub(crate) use {NoTls as TlsAcceptor, NoTls as TlsStream};

pub(super) fn free_scratch() {}

impl NoTls {
    pub(crate) fn accept(&self) -> Option<NoTls> {
        match *self {}
    }

    pub(super) fn receive(
        &self,
        _: &OwnedFd,
        _: &mut RecvBuf,
        _: RecvFlags,
        _: bool,
    ) -> io::Result<Received> {
        match *self {}
    }

    pub(super) fn transmit(
        &self,
        _: &OwnedFd,
        _: &mut SendQueue,
        _: u64,
        _: &Counters,
    ) -> io::Result<Transmitted> {
        match *self {}
    }

    pub(super) fn negotiated(&self) -> Arc<OnceLock<TlsInfo>> {
        match *self {}
    }

    pub(super) fn wants_send(&self) -> bool {
        match *self {}
    }

    pub(super) fn close(&self, _: &OwnedFd) {
        match *self {}
    }

    pub(super) fn read(&self, _: &OwnedFd, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn write(&self, _: &OwnedFd, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }
}
