import Messaging

/// The ranks of this start of the tests: one, or those of mpirun.
func sharedCommunicator() throws -> Communicator { try World.start().communicator }
