package lesionlite.app

import android.content.Context
import android.graphics.ImageDecoder
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import lesionlite.core.Contract
import lesionlite.core.Golden
import lesionlite.core.Problem
import lesionlite.core.Verdict
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter

private const val FOLDER = "model"
private const val MAX_THREADS = 4

/**
 * The model that `lesionlite embed` placed in the assets, with its contract and golden vectors.
 *
 * It is slow to open, and only one thread may use it at a time.
 *
 * @throws Problem if there is no model, or it cannot be run
 */
class EmbeddedModel(private val context: Context) : AutoCloseable {
    val contract = Contract.parse(read("contract.json").decodeToString())
    private val golden = Golden.parse(read("golden/golden.json").decodeToString(), contract)
    private val interpreter = open(read(golden.artifact).also(golden::checkModel))
    private val input = direct(contract.side * contract.side * 3)
    private val output = arrayOf(FloatArray(contract.labels.size))

    init {
        val takes = interpreter.getInputTensor(0)
        val gives = interpreter.getOutputTensor(0)
        val fits =
            takes.dataType() == DataType.UINT8 &&
                takes.shape().contentEquals(intArrayOf(1, contract.side, contract.side, 3)) &&
                gives.dataType() == DataType.FLOAT32 &&
                gives.shape().contentEquals(intArrayOf(1, contract.labels.size))
        if (!fits) throw Problem(context.getString(R.string.other_model))
    }

    /** Probabilities of [pixels] from the preprocessor, in the order of the labels. */
    fun classify(pixels: ByteArray): FloatArray {
        input.rewind()
        input.put(pixels).rewind()
        interpreter.run(input, output)
        return output[0].copyOf()
    }

    /** Runs the golden images and compares the answers with the expected ones. */
    fun selfTest(): Verdict = golden.judge(
        golden.images.map { name ->
            val image = ImageDecoder.createSource(context.assets, "$FOLDER/golden/$name")
            classify(image.toInput(contract.withoutResizing()))
        }
    )

    override fun close() = interpreter.close()

    private fun read(name: String): ByteArray = try {
        context.assets.open("$FOLDER/$name").use { it.readBytes() }
    } catch (error: IOException) {
        throw Problem(context.getString(R.string.no_model), error)
    }

    private fun open(model: ByteArray): Interpreter {
        val threads = Runtime.getRuntime().availableProcessors().coerceAtMost(MAX_THREADS)
        val buffer = direct(model.size).put(model)
        return try {
            Interpreter(buffer, Interpreter.Options().setNumThreads(threads))
        } catch (error: IllegalArgumentException) {
            throw Problem(context.getString(R.string.damaged_model), error)
        }
    }

    private fun direct(size: Int): ByteBuffer =
        ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
}
