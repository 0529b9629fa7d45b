package lesionlite.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

// Resizes an image of any size to the model's input, bit for bit as in training.
//
// Training used Pillow, and Android resizes bitmaps in other ways. So this is Pillow's algorithm
// for 8-bit images: a horizontal and a vertical pass with fixed-point weights, each rounded to 8
// bits.

private const val BITS = 22 // fractional bits of a weight; Pillow's 32 - 8 - 2
private const val ONE = 1 shl BITS
private const val HALF = ONE / 2
private const val CHANNELS = 3
private const val BYTE = 0xFF

/** The size to resize the image to, and the square to crop from that. */
data class Geometry(val width: Int, val height: Int, val left: Int, val top: Int) {
    companion object {
        /** [width] and [height] are those of the upright image in pixels. */
        fun of(width: Int, height: Int, contract: Contract): Geometry {
            val side = contract.side
            if (contract.resize == Resize.SQUASH) return Geometry(side, side, 0, 0)
            val scale = contract.resizeSide.toDouble() / min(width, height)
            // round() rounds halves to even, as Python does.
            val (w, h) =
                listOf(width, height).map { max(contract.resizeSide, round(it * scale).toInt()) }
            return Geometry(w, h, (w - side) / 2, (h - side) / 2)
        }
    }
}

/**
 * Makes the model's input from rows of pixels, so that a large photo need not be in memory.
 *
 * Call [add] with all rows, from the top, and then [finish].
 *
 * @param width of the upright image in pixels
 */
class Preprocessor(private val width: Int, height: Int, contract: Contract) {
    private val side = contract.side
    private val columns: Array<Tap>
    private val rows: Array<Tap>
    private val row = ByteArray(width * CHANNELS)
    private val narrow = ByteArray(height * side * CHANNELS) // all rows, as wide as the input
    private var filled = 0

    init {
        val to = Geometry.of(width, height, contract)
        columns = taps(width, to.width, contract.interpolation, to.left, side)
        rows = taps(height, to.height, contract.interpolation, to.top, side)
    }

    /** Resize [count] rows of ARGB pixels horizontally; alpha is dropped. */
    fun add(pixels: IntArray, count: Int = pixels.size / width) {
        repeat(count) { at ->
            unpack(pixels, at * width)
            resample(row, 0, CHANNELS, columns, narrow, filled * side * CHANNELS, CHANNELS)
            filled++
        }
    }

    private fun unpack(pixels: IntArray, from: Int) {
        for (x in 0 until width) {
            val pixel = pixels[from + x]
            row[x * CHANNELS] = (pixel shr 16).toByte()
            row[x * CHANNELS + 1] = (pixel shr 8).toByte()
            row[x * CHANNELS + 2] = pixel.toByte()
        }
    }

    /** Resize vertically; returns RGB, uint8 [S, S, 3]. */
    fun finish(): ByteArray {
        val out = ByteArray(side * side * CHANNELS)
        val line = side * CHANNELS
        for (x in 0 until line step CHANNELS) resample(narrow, x, line, rows, out, x, line)
        return out
    }
}

/** For one output pixel along an axis: the first source pixel, and the weights. */
private class Tap(val first: Int, val weights: IntArray)

/** Resample a line of three channels; the steps are the distances between its pixels. */
private fun resample(
    source: ByteArray,
    from: Int,
    step: Int,
    taps: Array<Tap>,
    target: ByteArray,
    to: Int,
    targetStep: Int
) {
    for (i in taps.indices) {
        val weights = taps[i].weights
        for (channel in 0 until CHANNELS) {
            var sum = HALF
            var at = from + taps[i].first * step + channel
            for (weight in weights) {
                sum += (source[at].toInt() and BYTE) * weight
                at += step
            }
            target[to + i * targetStep + channel] = (sum shr BITS).coerceIn(0, BYTE).toByte()
        }
    }
}

/** Taps of [count] pixels from [begin] on, of an axis resized [from] one length [to] another. */
private fun taps(
    from: Int,
    to: Int,
    interpolation: Interpolation,
    begin: Int,
    count: Int
): Array<Tap> {
    val whole = intArrayOf(ONE)
    if (from == to) return Array(count) { Tap(begin + it, whole) }
    val scale = from.toDouble() / to
    return when (interpolation) {
        Interpolation.NEAREST -> {
            val places = steps(scale, begin + count)
            Array(count) { Tap(places[begin + it], whole) }
        }

        Interpolation.AREA -> filtered(from, scale, begin, count, 0.5, ::box)

        Interpolation.BILINEAR -> filtered(from, scale, begin, count, 1.0, ::triangle)

        Interpolation.BICUBIC -> filtered(from, scale, begin, count, 2.0, ::cubic)
    }
}

/** As Pillow, add the scale repeatedly; multiplying would sometimes round to another pixel. */
private fun steps(scale: Double, count: Int): IntArray {
    var at = scale * 0.5
    return IntArray(count) { at.toInt().also { at += scale } }
}

private fun filtered(
    size: Int,
    scale: Double,
    begin: Int,
    count: Int,
    support: Double,
    filter: (Double) -> Double
): Array<Tap> {
    val stretch = max(scale, 1.0) // the filter widens when the image shrinks
    return Array(count) { i ->
        val center = (begin + i + 0.5) * scale
        val first = max(0, (center - support * stretch + 0.5).toInt())
        val end = min(size, (center + support * stretch + 0.5).toInt())
        val weights = DoubleArray(end - first) { filter((first + it - center + 0.5) / stretch) }
        val sum = weights.sum()
        Tap(first, IntArray(weights.size) { fixed(weights[it] / sum) })
    }
}

private fun fixed(weight: Double): Int = (weight * ONE + if (weight < 0) -0.5 else 0.5).toInt()

private fun box(x: Double): Double = if (x > -0.5 && x <= 0.5) 1.0 else 0.0

private fun triangle(x: Double): Double = max(0.0, 1 - abs(x))

private fun cubic(x: Double): Double {
    val a = -0.5
    val d = abs(x)
    return when {
        d < 1 -> ((a + 2) * d - (a + 3)) * d * d + 1
        d < 2 -> (((d - 5) * d + 8) * d - 4) * a
        else -> 0.0
    }
}
