package lesionlite.core

private const val MAX_PIXELS = 32_000_000L // 128 MB
private const val BYTES = 4L

/**
 * Of how many pixels in a row, and of how many rows, to decode one: 1, 2, 4 and so on.
 *
 * To decode fewer than all is less exact, and spares memory. So only photos are sampled whose
 * bitmap would have more than 32 megapixels, or take more than half as much as the heap. Android
 * keeps bitmaps elsewhere, but a phone with little memory has a small heap.
 *
 * @param heap bytes that the app's heap may grow to
 */
fun sampleSize(width: Int, height: Int, heap: Long): Int {
    val most = minOf(MAX_PIXELS, heap / 2 / BYTES)
    val steps = generateSequence(1L) { it * 2 }
    return steps.first { (width / it) * (height / it) <= most }.toInt()
}
