/// A fast 64-bit hash of memory, to compare replicas: four lanes of multiply and rotate, 32 bytes a round.
///
/// Any single flipped bit changes the result, since every step is a bijection of its lane. It is no protection
/// against somebody who wants two blocks to look alike.
func replicaHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  var a = prime1 &+ prime2
  var b = prime2
  var c: UInt64 = 0
  var d = 0 &- prime1
  var rest = bytes.count
  if var cursor = bytes.baseAddress {
    while rest >= 32 {
      a = round(a, cursor.loadUnaligned(as: UInt64.self))
      b = round(b, cursor.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      c = round(c, cursor.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      d = round(d, cursor.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
      cursor += 32
      rest -= 32
    }
    while rest > 0 {
      a = round(a, UInt64(cursor.load(as: UInt8.self)))
      cursor += 1
      rest -= 1
    }
  }
  var hash = UInt64(bytes.count)
  for lane in [a, b, c, d] { hash = (hash ^ round(0, lane)) &* prime1 &+ prime2 }
  hash = (hash ^ (hash >> 33)) &* prime2
  return hash ^ (hash >> 29)
}

private let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
private let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F

@inline(__always)
private func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
  let mixed = lane &+ word &* prime2
  return (mixed << 31 | mixed >> 33) &* prime1
}
