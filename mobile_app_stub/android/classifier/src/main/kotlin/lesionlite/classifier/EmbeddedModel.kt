package lesionlite.classifier

import android.content.Context
import android.graphics.ImageDecoder
import java.io.IOException
import java.io.InputStream
import kotlin.time.TimeSource
import kotlin.time.measureTimedValue
import lesionlite.core.Accelerator
import lesionlite.core.Contract
import lesionlite.core.Golden
import lesionlite.core.Problem
import lesionlite.core.Selection
import lesionlite.core.Selector
import lesionlite.core.rank

/**
 * A model in the app's assets, as `lesionlite embed` places it: the model, its contract and its
 * golden vectors.
 *
 * It is slow to open and to start, and only one thread may use it at a time.
 *
 * @param folder of the assets that holds the model
 * @throws Problem if there is no model, or a damaged one
 */
public class EmbeddedModel(private val context: Context, private val folder: String = "model") :
    AutoCloseable {
    /** The names of the classes, and how to use the answers. */
    public val contract: Contract = Contract.parse(text("contract.json"))
    private val golden = Golden.parse(text("golden/golden.json"), contract)
    private var running: Selection? = null

    init {
        read(golden.artifact) { golden.checkModel(it) }
    }

    /**
     * Runs the self-test on the accelerators of [order] until one passes, and stays there.
     *
     * @return where the model runs; if its verdict is not passed, no answer can be believed
     * @throws Problem if no accelerator can run the model
     */
    public fun start(order: List<Accelerator> = Accelerator.entries): Selection {
        close()
        val images = golden.images.map { name ->
            val image = ImageDecoder.createSource(context.assets, "$folder/golden/$name")
            image.toInput(contract.withoutResizing())
        }
        val selector = Selector(golden, images, Attempts(context)) { accelerator ->
            LiteRtRunner.open(context, "$folder/${golden.artifact}", accelerator)
        }
        return selector.select(order).also { running = it }
    }

    /**
     * Classifies a photo in any format that Android decodes, turned upright.
     *
     * @throws IOException if it is no image
     * @throws Problem if the phone has too little memory for it
     */
    public fun classify(photo: ImageDecoder.Source): Answer = try {
        val start = TimeSource.Monotonic.markNow()
        val input = photo.toInput(contract)
        val (probabilities, inModel) = measureTimedValue { classify(input) }
        val ranking = rank(probabilities, contract, input)
        Answer(ranking, input.toBitmap(contract.side), start.elapsedNow(), inModel)
    } catch (error: OutOfMemoryError) {
        throw Problem(context.getString(R.string.classifier_too_large), error)
    }

    /**
     * Probabilities of [pixels] that are already the model's input, in the order of the labels.
     *
     * @param pixels S x S x 3 bytes, as [toInput] or the core's Preprocessor makes them
     */
    public fun classify(pixels: ByteArray): FloatArray =
        (running ?: start()).runner.classify(pixels)

    override fun close() {
        running?.runner?.close()
        running = null
    }

    private fun text(name: String): String = read(name) { it.readBytes().decodeToString() }

    private fun <T> read(name: String, use: (InputStream) -> T): T = try {
        context.assets.open("$folder/$name").use(use)
    } catch (error: IOException) {
        throw Problem(context.getString(R.string.classifier_no_model), error)
    }
}
