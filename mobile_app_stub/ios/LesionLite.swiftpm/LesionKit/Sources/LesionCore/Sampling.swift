/// How far to reduce a large photo while it is decoded, so that it fits into the memory.
///
/// Most photos are decoded whole, and the input is made from all of their pixels. Of a larger photo
/// every second pixel in each direction is enough, or every fourth, and so on.
public enum Sampling {
    /// The most pixels to decode; at 4 bytes each they take 128 MB.
    public static let pixels = 32_000_000
    /// The longest side to decode. `Preprocessor` keeps a narrow copy of all rows.
    public static let longest = 32_768

    /// - Returns: the longer side to decode to in pixels, or nil to decode the whole photo.
    public static func longerSide(width: Int, height: Int) -> Int? {
        guard width > 0, height > 0 else {
            return Int(Double(pixels).squareRoot())  // the size is not known, so take no risk
        }
        let longer = max(width, height)
        let step = step(width: width, height: height)
        return step == 1 ? nil : longer / step + (longer % step == 0 ? 0 : 1)
    }

    /// 1, 2, 4 and so on: decoders take such steps without decoding all pixels first.
    static func step(width: Int, height: Int) -> Int {
        var step = 1
        while !fits(width / step, height / step) { step *= 2 }
        return step
    }

    private static func fits(_ width: Int, _ height: Int) -> Bool {
        let (count, isTooLarge) = width.multipliedReportingOverflow(by: height)
        return !isTooLarge && count <= pixels && max(width, height) <= longest
    }
}
