// swift-tools-version: 6.2
import PackageDescription

// The rooms, from the ground up; a target depends only on targets above its own line.
// Every Swift target is built with strict memory safety and with warnings as errors.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies + [arguments, logging], swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "ringway",
    products: [
        .executable(name: "ringway-blk", targets: ["ringway-blk"]),
        .executable(name: "ringway-net", targets: ["ringway-net"]),
        .executable(name: "ringway-switch", targets: ["ringway-switch"]),
        .library(name: "VhostUserServer", targets: ["VhostUserServer"]),
        .library(name: "VhostUserFrontend", targets: ["VhostUserFrontend", "Host", "VirtioSpec"]),
        // The ring engine alone, for measuring it.
        .library(name: "Virtqueue", targets: ["Virtqueue", "GuestMemory"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        // L0: numbers, and what C alone can say.
        .target(name: "CLinux"),
        .systemLibrary(
            name: "CLibURing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .systemLibrary(name: "CLibNUMA", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
        room("VirtioSpec", []),
        // L1: the operating system.
        room("Host", ["CLinux", "CLibURing", "CLibNUMA"]),
        // L2: the guest's memory.
        room("GuestMemory", ["Host", "VirtioSpec"]),
        // L3: rings and messages, pure.
        room("Virtqueue", ["GuestMemory", "Host", "VirtioSpec"]),
        room("VhostUserProtocol", ["VirtioSpec"]),
        // L4, L5: what a device is, and the devices.
        room("VirtioDevice", ["VirtioSpec"]),
        room("VirtioBlock", ["VirtioDevice", "Host", "VirtioSpec"]),
        room("VirtioNet", ["VirtioDevice", "Host", "VirtioSpec"]),
        // L6: where the bytes are kept, and where packets go.
        room("BlockStores", ["Host"]),
        room("NetPorts", ["VirtioNet", "Host", "VirtioSpec"]),
        room("EthernetSwitch", ["VirtioNet", "Host", "VirtioSpec"]),
        // L7: sessions and workers.
        room(
            "VhostUserServer",
            [
                "BlockStores", "EthernetSwitch", "GuestMemory", "Host", "NetPorts",
                "VhostUserProtocol", "VirtioBlock", "VirtioDevice", "VirtioNet", "VirtioSpec",
                "Virtqueue", logging,
            ]),
        // The programs, and what their command lines have in common.
        room("CommandLineOptions", ["Host", "VhostUserServer", arguments, logging]),
        program(
            "ringway-blk",
            ["BlockStores", "CommandLineOptions", "Host", "VhostUserServer", "VirtioBlock"]),
        program(
            "ringway-net",
            ["CommandLineOptions", "Host", "NetPorts", "VhostUserServer", "VirtioNet"]),
        program(
            "ringway-switch",
            [
                "CommandLineOptions", "EthernetSwitch", "Host", "NetPorts", "VhostUserServer",
                "VirtioNet", "VirtioSpec",
            ]),
        // Beside: the other end of the socket and of the ring. It shares nothing with the rooms above Host.
        room("VhostUserFrontend", ["Host", "VirtioSpec"]),
        .target(name: "Randomness", path: "Tests/Randomness", swiftSettings: strict),
        .target(name: "CStoreTrace", path: "Tests/CStoreTrace"),
        tests("GuestMemoryTests", ["GuestMemory", "Host", "VirtioSpec", "Randomness"]),
        tests(
            "VirtqueueTests",
            [
                "Virtqueue", "GuestMemory", "VhostUserFrontend", "Host", "VirtioSpec", "Randomness",
                "CStoreTrace",
            ]),
        tests(
            "VhostUserServerTests",
            [
                "VhostUserServer", "BlockStores", "EthernetSwitch", "NetPorts", "VirtioBlock",
                "VirtioNet", "VhostUserFrontend", "Host", "VirtioSpec", "ringway-blk", logging,
                "Randomness",
            ]),
        tests("VhostUserProtocolTests", ["VhostUserProtocol", "VirtioSpec", "Randomness"]),
        tests("BlockStoresTests", ["BlockStores", "Host"]),
        tests("VirtioNetTests", ["VirtioNet", "Host", "VirtioSpec", "Randomness"]),
        tests(
            "NetPortsTests",
            ["NetPorts", "VirtioNet", "Host", "CLinux", "VirtioSpec", "Randomness"]),
        tests("EthernetSwitchTests", ["EthernetSwitch", "VirtioNet", "VirtioSpec", "Randomness"]),
        tests("RingwayBlkTests", ["ringway-blk", "VhostUserFrontend", "Host", "VirtioSpec"]),
        tests(
            "VhostUserFrontendTests", ["VhostUserFrontend", "Host", "VirtioSpec", "Randomness"]),
    ]
)
