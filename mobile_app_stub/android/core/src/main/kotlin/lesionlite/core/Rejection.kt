package lesionlite.core

import kotlin.math.abs
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.sqrt

/** Numbers that describe an image's colours and detail. */
internal const val STATISTICS = 15

// Added before a logarithm, so that plain images have one.
private const val NO_CONTRAST = 0.01
private const val NO_DETAIL = 0.002
private val BLOCKS = listOf(1, 2, 4, 8)

/**
 * A Gaussian around each class: tells images of another kind from those the network has learned.
 *
 * An image has D numbers: the logarithms of its probabilities, then the statistics of its pixels.
 *
 * @property leastProbability what smaller probabilities count as
 * @property whitening D x D
 * @property centres of the classes, whitened
 * @property rejectAbove if the squared distance to the nearest centre is larger, the app says that
 *   the image is of another kind
 */
data class Rejection(
    val leastProbability: Double,
    val whitening: List<List<Double>>,
    val centres: List<List<Double>>,
    val rejectAbove: Double
) {
    /** Whether an image, S x S x 3 bytes, that has these probabilities is of another kind. */
    fun rejects(pixels: ByteArray, side: Int, probabilities: FloatArray): Boolean =
        squaredDistance(pixels, side, probabilities) > rejectAbove

    /** The squared Mahalanobis distance to the nearest class. */
    fun squaredDistance(pixels: ByteArray, side: Int, probabilities: FloatArray): Double {
        val logs = probabilities.map { ln(max(it.toDouble(), leastProbability)) }
        val numbers = logs + ImageStatistics(pixels, side).all()
        val whitened = whitening.map { row -> row.sumOfPairs(numbers) { a, b -> a * b } }
        return centres.minOf { it.sumOfPairs(whitened) { a, b -> (a - b) * (a - b) } }
    }
}

/** lesionlite's train/data/statistics.py describes each number. */
private class ImageStatistics(pixels: ByteArray, private val side: Int) {
    private val channels = List(3) { channel ->
        DoubleArray(side * side) { (pixels[3 * it + channel].toInt() and 0xFF) / 255.0 }
    }

    fun all(): List<Double> {
        val (red, green, blue) = channels
        val grey = DoubleArray(side * side) { (red[it] + green[it] + blue[it]) / 3 }
        val spreads = (channels + listOf(red - green, green - blue)).map {
            ln(it.deviation() + NO_CONTRAST)
        }
        val means = channels.map { it.average() }
        val centred = channels.zip(means) { channel, mean -> middle(channel).average() - mean }
        val detail = BLOCKS.map { block ->
            ln(roughness(shrink(grey, block), side / block) + NO_DETAIL)
        }
        return means + spreads + centred + detail
    }

    /** The pixels at most a quarter of the side away from the centre. */
    private fun middle(channel: DoubleArray): List<Double> {
        val inside = side / 4 until side - side / 4
        return channel.filterIndexed { at, _ -> at / side in inside && at % side in inside }
    }

    /** The means of whole blocks. */
    private fun shrink(grey: DoubleArray, block: Int): DoubleArray {
        val cells = side / block
        val means = DoubleArray(cells * cells)
        for (y in 0 until cells * block) {
            for (x in 0 until cells * block) {
                means[y / block * cells + x / block] += grey[y * side + x] / (block * block)
            }
        }
        return means
    }

    /** The mean difference between neighbours. */
    private fun roughness(grey: DoubleArray, side: Int): Double {
        var total = 0.0
        for (at in grey.indices) {
            if (at >= side) total += abs(grey[at] - grey[at - side])
            if (at % side > 0) total += abs(grey[at] - grey[at - 1])
        }
        return total / (2 * side * (side - 1))
    }
}

private operator fun DoubleArray.minus(other: DoubleArray) =
    DoubleArray(size) { this[it] - other[it] }

private fun DoubleArray.deviation(): Double {
    val mean = average()
    return sqrt(sumOf { (it - mean) * (it - mean) } / size)
}

private inline fun List<Double>.sumOfPairs(
    others: List<Double>,
    term: (Double, Double) -> Double
): Double = indices.sumOf { term(this[it], others[it]) }
