// swift-tools-version: 6.2
import PackageDescription

// The load generators, in a package of their own: who builds Ringway need not build these.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "ringway-bench",
    products: [.executable(name: "ringway-bench", targets: ["ringway-bench"])],
    dependencies: [
        .package(name: "ringway", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // What the ring engine in Swift is held against. It may not be worse compiled than that.
        .target(name: "CRing", cSettings: [.unsafeFlags(["-O3"], .when(configuration: .release))]),
        .executableTarget(
            name: "ringway-bench",
            dependencies: [
                "CRing",
                .product(name: "Virtqueue", package: "ringway"),
                .product(name: "VhostUserFrontend", package: "ringway"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RingwayBenchTests", dependencies: ["ringway-bench"], swiftSettings: strict),
    ]
)
