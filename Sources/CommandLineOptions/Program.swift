import ArgumentParser
import Host
import Logging
import VhostUserServer

/// What Ringway's programs have in common around their own work.
public protocol Program: ParsableCommand {
    /// What `--print-capabilities` prints.
    static var capabilities: String { get }
    var logLevel: Logger.Level { get }
}

extension Program {
    /// Runs the program as its command line says. Where it fails, that is one line on standard error
    /// and a status that is not 0.
    public static func start() {
        let name = Self.configuration.commandName ?? "ringway"
        // By convention everything else on the command line is ignored.
        if CommandLine.arguments.contains("--print-capabilities") { return print(capabilities) }
        do {
            var command = try Self.parseAsRoot()
            if let program = command as? Self { bootstrapLogging(program.logLevel) }
            try command.run()
        } catch {
            guard Self.exitCode(for: error) != .success else { Self.exit(withError: error) }
            // One line, whatever went wrong.
            let text = Self.message(for: error).split(separator: "\n").joined(separator: " ")
            StandardError.write("\(name): \(text)\n")
            Self.exit(withError: ExitCode.failure)
        }
    }

    private static func bootstrapLogging(_ level: Logger.Level) {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }

    /// What must be so before any thread is started: signals wait for us, descriptors suffice, and
    /// io_uring works. Returns what becomes readable when the process is to end.
    public func prepare() throws -> OwnedFD {
        // Before any thread is started, so that none of them is the one a signal picks.
        let termination = try Signals.termination()
        Limits.raiseDescriptors()
        // Without io_uring nothing would work, and it is better to hear that now.
        do { _ = try IORing(depth: 8) } catch {
            throw ValidationError(
                "\(error); is io_uring forbidden here (kernel.io_uring_disabled)?")
        }
        return termination
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
