import Foundation
import Programs

extension Program {
    convenience init(
        _ arguments: [String], shell command: String? = nil, input: FileHandle? = nil
    ) throws {
        try self.init("ringway-blk", arguments, shell: command, input: input)
    }

    /// Runs the program to its end.
    static func run(_ arguments: [String], shell command: String? = nil) throws -> Ended {
        try Program(arguments, shell: command).end()
    }
}
