import Host
import Testing
import VirtioSpec

@testable import VhostUserFrontend

@Suite("A network driver's packets and commands, one at a time")
struct NetPacketTests {
    /// A driver whose rings the test serves, with VERSION_1, a control queue, and more.
    private func driver(_ features: UInt64 = 0) throws -> NetDriver {
        let offered: UInt64 = 1 << 32 | 1 << 30 | 1 << 17 | features
        let backend = try ScriptedBackend([
            1: Bytes.of(offered), 15: Bytes.of(UInt64(1 << 3)),
        ])
        var options = NetDriver.Options()
        options.controlQueue = true
        return try NetDriver(backend.connect(), GuestRAM(byteCount: 4 << 20), options)
    }

    @Test("A packet goes out as it is cut", arguments: [nil, [], [3, 9, 4]] as [[Int]?])
    func send(cuts: [Int]?) throws {
        let driver = try driver()
        var device = try TestDevice(driver.transmitQueue())
        var header = PacketHeader()
        header.flags = 1
        try driver.send([7, 8, 9, 10, 11], header: header, cuts: cuts)
        let taken = try device.takeOne()
        let whole = cuts ?? [12]
        let last = 17 - whole.reduce(0, +)
        #expect(taken.buffers.map { Int($0.length) } == whole + [last])
        let bytes = driver.ram.read(taken.buffers)
        let expected: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 11]
        #expect(bytes == expected)
        device.complete([(taken, 0)])
        try driver.waitForSent()
        #expect(driver.transmitQueue().inFlight == 0)
    }

    @Test("A packet comes in, over descriptors of any length")
    func receive() throws {
        let driver = try driver()
        var device = try TestDevice(driver.receiveQueue())
        try driver.offerBuffers(2, cuts: [1, 11, 3, 20])
        let taken = try device.takeOne()
        #expect(taken.buffers.map { Int($0.length) } == [1, 11, 3, 20])
        let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
        driver.ram.write(header + [5, 6, 7, 8], over: taken.buffers)
        device.complete([(taken, 16)])
        let packet = try driver.receive()
        #expect(packet.packet == [5, 6, 7, 8])
        #expect(packet.header.bufferCount == 1)
        #expect(packet.written == 16)
    }

    @Test("A packet is merged of its buffers")
    func merge() throws {
        let driver = try driver(1 << 15)
        #expect(driver.isMergeable)
        var device = try TestDevice(driver.receiveQueue())
        try driver.offerBuffers(3, bytes: 14)
        let first = try device.takeOne()
        let second = try device.takeOne()
        driver.ram.write([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 2], over: first.buffers)
        driver.ram.write([3], over: second.buffers)
        device.complete([(first, 14), (second, 1)])
        #expect(try driver.receive().packet == [1, 2, 3])
    }

    @Test("A packet whose second buffer does not come is no packet")
    func missing() throws {
        let driver = try driver(1 << 15)
        var device = try TestDevice(driver.receiveQueue())
        try driver.offerBuffers(3, bytes: 14)
        let first = try device.takeOne()
        driver.ram.write([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 2], over: first.buffers)
        device.complete([(first, 14)])
        #expect(throws: FrontendError.self) { try driver.receive() }
    }

    @Test("A command, its data, and one byte of an answer", arguments: [[2], [1, 1], [1]])
    func control(cuts: [Int]) throws {
        let driver = try driver()
        var device = try TestDevice(try #require(driver.queues.last))
        let answer = try driver.offerControl(4, 0, [2, 0], cuts: cuts)
        let taken = try device.takeOne()
        #expect(taken.buffers.last == .writable(answer, 1))
        let command = taken.buffers.dropLast()
        #expect(command.allSatisfy { !$0.isWritable })
        #expect(command.first?.length == UInt32(cuts[0]))
        #expect(driver.ram.read(Array(command)) == [4, 0, 2, 0])
        #expect(driver.ram.read(1, at: answer) == [NetDriver.noAnswer])
        driver.ram.write([1], at: answer)
        device.complete([(taken, 1)])
        #expect(try driver.controlAnswer(at: answer) == 1)
    }
}
