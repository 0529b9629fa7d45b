package lesionlite.app

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.ColumnScope
import androidx.compose.foundation.layout.WindowInsets
import androidx.compose.foundation.layout.WindowInsetsSides
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.only
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawing
import androidx.compose.foundation.layout.windowInsetsPadding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Scaffold
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import lesionlite.core.Contract

/** A screen that ends with the contract's disclaimer, clear of bars and of the camera's hole. */
@Composable
fun AppScreen(contract: Contract?, content: @Composable () -> Unit) {
    Scaffold(
        bottomBar = { Disclaimer(contract) },
        contentWindowInsets = WindowInsets.safeDrawing
    ) { padding -> Box(Modifier.fillMaxSize().padding(padding)) { content() } }
}

/** A screen of text with a title. */
@Composable
fun TextScreen(contract: Contract?, title: String, content: @Composable ColumnScope.() -> Unit) {
    AppScreen(contract) {
        Column(
            Modifier
                .fillMaxSize()
                .verticalScroll(rememberScrollState())
                .padding(16.dp),
            Arrangement.spacedBy(16.dp)
        ) {
            Text(
                title,
                Modifier.semantics { heading() },
                style = MaterialTheme.typography.headlineMedium
            )
            content()
        }
    }
}

@Composable
private fun Disclaimer(contract: Contract?) {
    val sentence = contract?.disclaimer.orEmpty()
    if (sentence.isEmpty()) return
    val sides = WindowInsetsSides.Horizontal + WindowInsetsSides.Bottom
    Surface(color = MaterialTheme.colorScheme.secondaryContainer) {
        Text(
            sentence,
            Modifier
                .fillMaxWidth()
                .windowInsetsPadding(WindowInsets.safeDrawing.only(sides))
                .padding(16.dp)
        )
    }
}
