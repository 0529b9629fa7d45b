package lesionlite.app

import android.app.Application
import android.graphics.ImageDecoder
import androidx.annotation.StringRes
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import java.io.IOException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import lesionlite.classifier.Answer
import lesionlite.classifier.EmbeddedModel
import lesionlite.core.Accelerator
import lesionlite.core.Contract
import lesionlite.core.Problem
import lesionlite.core.Selection

/** What the screen shows. The contract is null until the model is open. */
data class UiState(
    val busy: Boolean = true,
    val contract: Contract? = null,
    val chosen: Accelerator? = null,
    val running: Selection? = null,
    val answer: Answer? = null,
    val error: String? = null
)

class MainViewModel(application: Application) : AndroidViewModel(application) {
    // One thread at a time, because the model allows no more.
    private val worker = Dispatchers.Default.limitedParallelism(1)
    private var opened: EmbeddedModel? = null // only the worker uses it
    private val preference = Preference(application)
    private val _state = MutableStateFlow(UiState())
    val state = _state.asStateFlow()

    init {
        start()
    }

    /** Runs the model on [accelerator], or where the app finds best if it is null. */
    fun choose(accelerator: Accelerator?) {
        preference.chosen = accelerator
        start()
    }

    private fun start() {
        _state.update { it.copy(running = null, chosen = preference.chosen) }
        work { model ->
            _state.update { it.copy(contract = model.contract) }
            val running = model.start(preference.order())
            _state.update { it.copy(running = running) }
        }
    }

    fun classify(photo: ImageDecoder.Source) = work { model ->
        val answer = model.classify(photo)
        _state.update { it.copy(answer = answer) }
    }

    fun report(@StringRes problem: Int) =
        _state.update { it.copy(error = getApplication<Application>().getString(problem)) }

    private fun work(task: (EmbeddedModel) -> Unit) {
        _state.update { it.copy(busy = true, answer = null, error = null) }
        viewModelScope.launch(worker) {
            try {
                task(opened ?: EmbeddedModel(getApplication()).also { opened = it })
            } catch (problem: Problem) {
                _state.update { it.copy(error = problem.message) }
            } catch (_: IOException) {
                report(R.string.unreadable)
            }
            _state.update { it.copy(busy = false) }
        }
    }

    override fun onCleared() {
        // After the running work, because closing a model in use would crash the app.
        CoroutineScope(worker).launch { opened?.close() }
    }
}
