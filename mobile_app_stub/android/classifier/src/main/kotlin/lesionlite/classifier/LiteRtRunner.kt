package lesionlite.classifier

import android.content.Context
import com.google.ai.edge.litert.Accelerator as LiteRtAccelerator
import com.google.ai.edge.litert.BuiltinNpuAcceleratorProvider
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.TensorBuffer
import lesionlite.core.Accelerator
import lesionlite.core.Problem
import lesionlite.core.Runner

private const val MAX_THREADS = 4

/** A model of the assets, compiled by LiteRT for one accelerator and no other. */
internal class LiteRtRunner private constructor(
    private val environment: Environment,
    private val model: CompiledModel,
    private val inputs: List<TensorBuffer>,
    private val outputs: List<TensorBuffer>
) : Runner {
    override fun classify(pixels: ByteArray): FloatArray {
        inputs[0].writeInt8(pixels) // LiteRT has no writer for uint8; the bytes are the same
        model.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
        environment.close()
    }

    companion object {
        /**
         * Opens the file [asset] of the assets.
         *
         * @throws Problem if LiteRT has no library for this phone
         * @throws Exception LiteRT's own if the accelerator does not take the whole model
         */
        fun open(context: Context, asset: String, accelerator: Accelerator): LiteRtRunner = try {
            compile(context, asset, accelerator)
        } catch (error: LinkageError) {
            // First an UnsatisfiedLinkError, and after that a NoClassDefFoundError
            throw Problem(context.getString(R.string.classifier_no_library), error)
        }

        private fun compile(
            context: Context,
            asset: String,
            accelerator: Accelerator
        ): LiteRtRunner {
            val environment = Environment.create(BuiltinNpuAcceleratorProvider(context))
            var model: CompiledModel? = null
            try {
                val made =
                    CompiledModel.create(context.assets, asset, options(accelerator), environment)
                model = made
                val inputs = made.createInputBuffers()
                return LiteRtRunner(environment, made, inputs, made.createOutputBuffers())
            } catch (error: Exception) { // an NPU that refuses the model is the usual case
                model?.close()
                environment.close()
                throw error
            }
        }

        private fun options(accelerator: Accelerator) = when (accelerator) {
            // LiteRT adds the CPU, silently, if the NPU is alone (2.1.5 to 2.3.0, Model.kt).
            Accelerator.NPU -> CompiledModel.Options(LiteRtAccelerator.NPU, LiteRtAccelerator.NONE)

            Accelerator.GPU -> CompiledModel.Options(LiteRtAccelerator.GPU)

            Accelerator.CPU -> CompiledModel.Options(LiteRtAccelerator.CPU).apply {
                val threads = Runtime.getRuntime().availableProcessors().coerceAtMost(MAX_THREADS)
                cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
            }
        }
    }
}
