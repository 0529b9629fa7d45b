package lesionlite.app

import android.content.Context
import android.graphics.ImageDecoder
import java.io.IOException
import lesionlite.core.Accelerator
import lesionlite.core.Contract
import lesionlite.core.Golden
import lesionlite.core.Problem
import lesionlite.core.Selection
import lesionlite.core.Selector

private const val FOLDER = "model"

/**
 * The model that `lesionlite embed` placed in the assets, with its contract and golden vectors.
 *
 * It is slow to start, and only one thread may use it at a time.
 *
 * @throws Problem if there is no model
 */
class EmbeddedModel(private val context: Context) : AutoCloseable {
    val contract = Contract.parse(read("contract.json").decodeToString())
    private val golden = Golden.parse(read("golden/golden.json").decodeToString(), contract)
    private var running: Selection? = null

    init {
        golden.checkModel(read(golden.artifact))
    }

    /**
     * Runs the self-test on the accelerators of [order] until one passes, and stays there.
     *
     * @throws Problem if no accelerator can run the model
     */
    fun start(order: List<Accelerator> = Accelerator.entries): Selection {
        close()
        val images = golden.images.map { name ->
            val image = ImageDecoder.createSource(context.assets, "$FOLDER/golden/$name")
            image.toInput(contract.withoutResizing())
        }
        val selector = Selector(golden, images, Attempts(context)) { accelerator ->
            LiteRtRunner.open(context, "$FOLDER/${golden.artifact}", accelerator)
        }
        return selector.select(order).also { running = it }
    }

    /** Probabilities of [pixels] from the preprocessor, in the order of the labels. */
    fun classify(pixels: ByteArray): FloatArray = (running ?: start()).runner.classify(pixels)

    override fun close() {
        running?.runner?.close()
        running = null
    }

    private fun read(name: String): ByteArray = try {
        context.assets.open("$FOLDER/$name").use { it.readBytes() }
    } catch (error: IOException) {
        throw Problem(context.getString(R.string.no_model), error)
    }
}
