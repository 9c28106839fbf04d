/// Sentences that name the way out of what users run into.
enum Hint {
    static let memoryNotShared =
        "the guest's memory is not shared with this back-end: for QEMU add -object"
        + " memory-backend-memfd,id=mem,size=SIZE,share=on -machine memory-backend=mem; for libvirt"
        + " <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>; for Cloud"
        + " Hypervisor --memory shared=on"
}
