package lesionlite.classifier

import android.graphics.Bitmap
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import lesionlite.core.Contract
import lesionlite.core.Preprocessor
import lesionlite.core.sampleSize

private const val STRIP = 64

/**
 * The model's input from a photo in any format that Android decodes, turned upright.
 *
 * @throws java.io.IOException if it cannot be decoded
 * @throws OutOfMemoryError if the phone has too little memory for it
 */
public fun ImageDecoder.Source.toInput(contract: Contract): ByteArray {
    val bitmap =
        ImageDecoder.decodeBitmap(this) { decoder, info, _ ->
            // Pixels are read below; bitmaps in graphics memory do not allow that.
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
            val heap = Runtime.getRuntime().maxMemory()
            val step = sampleSize(info.size.width, info.size.height, heap)
            decoder.setTargetSampleSize(step)
            // Keep the colours of transparent pixels; Android cannot scale such bitmaps.
            decoder.isUnpremultipliedRequired = step == 1
        }
    try {
        return bitmap.toInput(contract)
    } finally {
        bitmap.recycle()
    }
}

private fun Bitmap.toInput(contract: Contract): ByteArray {
    val preprocessor = Preprocessor(width, height, contract)
    val strip = IntArray(width * STRIP)
    for (top in 0 until height step STRIP) {
        val rows = minOf(STRIP, height - top)
        getPixels(strip, 0, width, 0, top, width, rows)
        preprocessor.add(strip, rows)
    }
    return preprocessor.finish()
}

/** The model's input as a bitmap, to show it. */
internal fun ByteArray.toBitmap(side: Int): Bitmap {
    val opaque = 0xFF shl 24
    val pixels =
        IntArray(side * side) {
            val (r, g, b) = List(3) { channel -> this[it * 3 + channel].toInt() and 0xFF }
            opaque or (r shl 16) or (g shl 8) or b
        }
    return Bitmap.createBitmap(pixels, side, side, Bitmap.Config.ARGB_8888)
}
