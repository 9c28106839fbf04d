/// The driver's status, where the front-end tells it.
extension Session {
    /// 0 says that the driver has let go of the device. Some front-ends (QEMU 8.0) say so before they
    /// stop the rings by GET_VRING_BASE, which must still be answered with where each was: so a ring
    /// stops here as it does there.
    func setStatus(_ value: UInt64) throws(Refusal) {
        status = value
        guard value == 0 else { return }
        for vring in vrings { try stop(vring) }
        device.driverLeft()
        // What was negotiated is the front-end's to take back.
        device.accept(negotiated.features)
    }
}
